//! Sizes as people write them: `10GB`, `512 MiB`, `128`.

/// Units by their lower-case name. 1 MB is 10⁶ bytes; `MiB` and its kin are powers of 1024.
const UNITS: [(&str, u64); 9] = [
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

/// What a size looks like, for messages.
pub(super) const EXPECTED: &str = "a size above 0 such as 10GB, 512MiB or 128MB";

/// Bytes of a size; a bare number counts in `bare_unit` bytes.
///
/// # Errors
/// What to write instead.
pub(super) fn parse(text: &str, bare_unit: u64) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let factor = match UNITS.iter().find(|(name, _)| *name == unit) {
        Some((_, factor)) => *factor,
        None if unit.is_empty() => bare_unit,
        None => return Err("the units are B, kB, MB, GB, TB, KiB, MiB, GiB and TiB".to_owned()),
    };
    let number: f64 = number.parse().map_err(|_not_a_number| "begin with a number".to_owned())?;
    #[expect(clippy::cast_precision_loss, reason = "a factor is at most 2⁴⁰")]
    let bytes = (number * factor as f64).round();
    // 2⁶³ bytes are beyond every machine and still exact enough to compare.
    if !(1.0..9.2e18).contains(&bytes) {
        return Err("write a size above 0".to_owned());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked right above")]
    Ok(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_unit() {
        assert_eq!(parse("10GB", 1), Ok(10_000_000_000));
        assert_eq!(parse("512 MiB", 1), Ok(536_870_912));
        assert_eq!(parse("1.5kb", 1), Ok(1_500));
        assert_eq!(parse("128", 1_000_000), Ok(128_000_000));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "GB", "-1GB", "10 parsecs", "0", "0GB", "1e400", "NaN", "1.2.3MB", "99999999999TB"] {
            assert!(parse(text, 1).is_err(), "{text}");
        }
    }
}
