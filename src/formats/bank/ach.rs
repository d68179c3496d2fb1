//! x
pub fn read(_: &[u8]) -> Result<super::BankFile, super::BankFileError> { Err(super::BankFileError::new("file", "format", "x")) }
