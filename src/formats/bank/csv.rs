//! x
/// x
#[derive(Debug)]
pub struct CsvMapping;
pub fn read(_: &[u8], _: &CsvMapping) -> Result<super::BankFile, super::BankFileError> { Err(super::BankFileError::new("file", "format", "x")) }
