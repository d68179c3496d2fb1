//! Lengths on paper: thousandths of a point (a point is 1/72 inch) as integers, so that the same bill is laid out the same way
//! everywhere. They become the library's floats here and nowhere else; no money passes through.

/// One point.
pub(super) const POINT: i32 = 1000;

/// A length as the library takes it, in points.
#[allow(clippy::float_arithmetic, reason = "a place on paper, not money: the library's own measure")]
pub(super) fn points(length: i32) -> f32 {
    let whole = i16::try_from(length.div_euclid(POINT)).unwrap_or(i16::MAX);
    let rest = i16::try_from(length.rem_euclid(POINT)).unwrap_or(0);
    f32::from(whole) + f32::from(rest) / 1000.0
}

/// How much of an em a glyph is wide.
#[allow(clippy::float_arithmetic, reason = "a place on paper, not money: the library's own measure")]
pub(super) fn share(width: u16, em: u16) -> f32 {
    f32::from(width) / f32::from(em)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_keep_their_thousandths() {
        let shown = [792_000, 10_500, -500, 0].map(|length| points(length).to_string());
        assert_eq!(shown, ["792", "10.5", "-0.5", "0"]);
    }
}
