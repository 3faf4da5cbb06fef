//! Durations as Go writes them: `30s`, `1h0m0s`, `250ms` (`time.ParseDuration`, which `metav1.Duration` uses).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::fmt::friendly::{Spacing, SpanParser, SpanPrinter};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

/// A duration that is not negative, in Go's notation.
///
/// Displayed without zero units, `24h` where Go writes `24h0m0s`; Go reads both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct GoDuration(pub Duration);

impl FromStr for GoDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Go's only number without a unit.
        if text == "0" {
            return Ok(Self::default());
        }
        let parsed = SpanParser::new().parse_duration(text);
        let parsed = parsed
            .map_err(|_| format!("\"{}\" is not a duration, such as 30s or 1h30m", text.escape_debug()))?;
        match Duration::try_from(parsed) {
            Ok(duration) => Ok(Self(duration)),
            Err(_) => Err(format!("must not be negative, as {text} is")),
        }
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let duration = SignedDuration::try_from(self.0).unwrap_or(SignedDuration::MAX);
        f.write_str(&SpanPrinter::new().spacing(Spacing::None).duration_to_string(&duration))
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

struct Text;

impl Visitor<'_> for Text {
    type Value = GoDuration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration with its unit, such as 30s or 1h30m")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        #[track_caller]
        fn check(text: &str, expected: Result<Duration, &str>) {
            let found = text.parse::<GoDuration>().map(|duration| duration.0);
            assert_eq!(found, expected.map_err(str::to_owned), "{text}");
        }
        // From the table of Go's own test of ParseDuration.
        check("0", Ok(Duration::ZERO));
        check("0s", Ok(Duration::ZERO));
        check("5s", Ok(Duration::from_secs(5)));
        check("+5s", Ok(Duration::from_secs(5)));
        check("5.6s", Ok(Duration::from_millis(5600)));
        check("10ns", Ok(Duration::from_nanos(10)));
        check("11us", Ok(Duration::from_micros(11)));
        check("12µs", Ok(Duration::from_micros(12)));
        check("13ms", Ok(Duration::from_millis(13)));
        check("3h30m", Ok(Duration::from_secs(12_600)));
        check("1h0m0s", Ok(Duration::from_secs(3600)));
        check("4m10.5s", Ok(Duration::from_millis(250_500)));
        check("-1s", Err("must not be negative, as -1s is"));
        for bad in ["", "3", "s", ".", "+", "-", "1d", "99999999999999999999999h", "\u{1b}s"] {
            let expected = format!("\"{}\" is not a duration, such as 30s or 1h30m", bad.escape_debug());
            check(bad, Err(&expected));
        }
    }

    #[test]
    fn what_is_written_is_in_gos_units() {
        for (duration, expected) in [
            (Duration::ZERO, "0s"),
            (Duration::from_secs(86_400), "24h"),
            (Duration::from_secs(90), "1m30s"),
            (Duration::from_nanos(1_000_001), "1ms1ns"),
            (Duration::from_micros(1), "1µs"),
        ] {
            assert_eq!(GoDuration(duration).to_string(), expected);
            assert_eq!(expected.parse(), Ok(GoDuration(duration)));
        }
    }
}
