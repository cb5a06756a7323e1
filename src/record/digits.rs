//! Numbers as decimal digits, without the cost of formatting.

/// Appends a number.
pub(super) fn decimal(value: u64, out: &mut Vec<u8>) {
    let mut digits = 1;
    let mut rest = value / 10;
    while rest > 0 {
        rest /= 10;
        digits += 1;
    }
    padded(value, digits, out);
}

/// Appends the last `digits` digits of a number, with zeros before it.
pub(super) fn padded(mut value: u64, digits: usize, out: &mut Vec<u8>) {
    let from = out.len();
    out.resize(from + digits, b'0');
    for place in out.iter_mut().skip(from).rev() {
        *place = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}
