//! x
pub fn read(_: &[u8]) -> Result<super::BankFile, super::BankFileError> { Err(super::BankFileError::new("file", "format", "x")) }
pub fn format_of_opening(_: &str) -> Result<super::BankFormat, super::BankFileError> { Err(super::BankFileError::new("file", "format", "x")) }
