//! A form with a file (`multipart/form-data`, RFC 7578): bounded, and reached by our own pages only, like every form.
//!
//! Who may send is known before the first byte is kept. The whole body is read into memory, which its bound allows.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::rt::time::timeout;
use actix_web::{FromRequest, HttpRequest, web};

use super::error::PageError;
use super::form::check_origin;
use super::viewer::{Extracting, Viewer, context_of};
use crate::actions::sign_in::same_csrf;
use crate::domain::roles::Permission;
use crate::formats::bank::LARGEST_FILE_BYTES;

/// Beside the file a form has so much at most.
const OTHER_BYTES: usize = 64 * 1024;
/// No upload takes longer to arrive.
const LONGEST_SENDING: Duration = Duration::from_secs(300);
/// A form has no more fields.
const MOST_PARTS: usize = 32;

/// A form with a file, checked, and who sent it: somebody who works accounts.
#[derive(Debug)]
pub struct CheckedUpload {
    /// Who sent it.
    pub viewer: Viewer,
    /// Its fields.
    pub fields: Vec<(String, String)>,
    /// The file's name and bytes, when one was chosen.
    pub file: Option<(String, Vec<u8>)>,
}

impl FromRequest for CheckedUpload {
    type Error = PageError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let context = context_of(&request)?;
            let viewer = Viewer::extract(&request).await?;
            viewer.must(Permission::WorkAccounts)?;
            check_origin(request.headers(), &context)?;
            let boundary = boundary(&request)?;
            let body = read_body(&request, payload).await?;
            let form =
                parse(&body, &boundary).ok_or_else(|| PageError::Refused("the form: it is not whole, or not multipart/form-data".to_owned()))?;
            let mut tokens = form.fields.iter().filter(|(name, _)| name == "csrf");
            match (tokens.next(), tokens.next()) {
                (Some((_, token)), None) if same_csrf(token, &viewer.csrf) => {}
                (Some(_), None) => return Err(PageError::Forged("its hidden token is of another session")),
                _ => return Err(PageError::Forged("its hidden token is missing")),
            }
            let fields = form.fields.into_iter().filter(|(name, _)| name != "csrf").collect();
            Ok(Self { viewer, fields, file: form.file })
        })
    }
}

fn boundary(request: &HttpRequest) -> Result<String, PageError> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let wrong = || PageError::Refused("the form: expected multipart/form-data".to_owned());
    if !kind.trim().to_ascii_lowercase().starts_with("multipart/form-data") {
        return Err(wrong());
    }
    let boundary = parameter(kind, "boundary").filter(|boundary| !boundary.is_empty() && boundary.len() <= 70);
    boundary.ok_or_else(wrong)
}

async fn read_body(request: &HttpRequest, mut payload: Payload) -> Result<web::Bytes, PageError> {
    let most = LARGEST_FILE_BYTES + OTHER_BYTES;
    let told = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|length| length.parse::<usize>().ok());
    if told.is_some_and(|length| length > most) {
        return Err(PageError::TooLarge);
    }
    let payload = web::Payload::from_request(request, &mut payload).await.map_err(PageError::internal)?;
    let whole = timeout(LONGEST_SENDING, payload.to_bytes_limited(most)).await;
    let whole = whole.map_err(|_| PageError::Refused("the form: it did not arrive in time".to_owned()))?;
    whole.map_err(|_| PageError::TooLarge)?.map_err(|_| PageError::Refused("the form: it did not arrive whole".to_owned()))
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Parts {
    fields: Vec<(String, String)>,
    file: Option<(String, Vec<u8>)>,
}

/// The parts of a body; nothing when it is not whole.
fn parse(body: &[u8], boundary: &str) -> Option<Parts> {
    let opening = format!("--{boundary}");
    let delimiter = format!("\r\n--{boundary}");
    let mut rest = body.strip_prefix(opening.as_bytes())?;
    let mut parts = Parts::default();
    for _ in 0..=MOST_PARTS {
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        rest = rest.strip_prefix(b"\r\n")?;
        let headers_end = find(rest, b"\r\n\r\n")?;
        let (headers, content) = (rest.get(..headers_end)?, rest.get(headers_end + 4..)?);
        let end = find(content, delimiter.as_bytes())?;
        take(std::str::from_utf8(headers).ok()?, content.get(..end)?, &mut parts)?;
        rest = content.get(end + delimiter.len()..)?;
    }
    None
}

fn take(headers: &str, content: &[u8], parts: &mut Parts) -> Option<()> {
    let disposition = headers.split("\r\n").find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
    let name = parameter(disposition, "name")?;
    match parameter(disposition, "filename") {
        // A browser sends a field without a chosen file as an empty file without a name.
        Some(file) if file.is_empty() && content.is_empty() => Some(()),
        Some(file) if parts.file.is_none() => {
            parts.file = Some((file, content.to_vec()));
            Some(())
        }
        None if content.len() <= OTHER_BYTES && !content.contains(&0) => {
            parts.fields.push((name, std::str::from_utf8(content).ok()?.to_owned()));
            Some(())
        }
        Some(_) | None => None,
    }
}

/// A parameter of a header: `name="value"` or `name=value`.
fn parameter(header: &str, wanted: &str) -> Option<String> {
    let mut rest = header.split_once(';')?.1;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, next) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').map(|(value, next)| (value, next.trim_start().strip_prefix(';').unwrap_or_default()))?,
            None => after.split_once(';').unwrap_or((after, "")),
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value.trim().to_owned());
        }
        rest = next;
    }
}

/// Where a sequence of bytes begins.
fn find(text: &[u8], sought: &[u8]) -> Option<usize> {
    let first = *sought.first()?;
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.iter().position(|byte| *byte == first)?;
        if text.get(at..)?.starts_with(sought) {
            return Some(at);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"--x1\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\nabc\r\n--x1\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"May; 1.xml\"\r\nContent-Type: text/xml\r\n\r\n<a>\r\n--x\r\n</a>\r\n--x1--\r\n";

    #[test]
    fn fields_and_file_are_told_apart() {
        let parts = parse(BODY, "x1").unwrap();
        assert_eq!(parts.fields, [("csrf".to_owned(), "abc".to_owned())]);
        assert_eq!(parts.file, Some(("May; 1.xml".to_owned(), b"<a>\r\n--x\r\n</a>".to_vec())));
    }

    #[test]
    fn what_is_not_whole_is_nothing() {
        for end in 0..BODY.len() - 4 {
            assert_eq!(parse(&BODY[..end], "x1"), None, "{end}");
        }
        assert_eq!(parse(BODY, "x2"), None);
        assert_eq!(parse(b"", ""), None);
        let many = b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n".repeat(40);
        assert_eq!(parse(&[many, b"--x--".to_vec()].concat(), "x"), None);
        assert_eq!(parse(b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\na\0b\r\n--x--", "x"), None);
    }

    #[test]
    fn a_file_that_was_not_chosen_is_none() {
        let body = b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\"\r\n\r\n\r\n--x--";
        assert_eq!(parse(body, "x"), Some(Parts::default()));
    }
}
