//! Figures in words. Every renderer uses these, so that the same figure reads the same everywhere.

/// Stands where there is no figure.
pub(super) const NONE: &str = "–";

const TIMES: &[(f64, &str)] = &[(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")];
const RATES: &[(f64, &str)] = &[(1.0, "/s"), (1e3, "k/s"), (1e6, "M/s"), (1e9, "G/s")];
const KIB: f64 = 1024.0;
const BYTES: &[(f64, &str)] =
    &[(1.0, "B"), (KIB, "KiB"), (KIB * KIB, "MiB"), (KIB * KIB * KIB, "GiB")];

/// A value with its unit, in the step of the unit that suits it: `1.24 µs`, `22.7 M/s`, `1.2 KiB`.
///
/// Three significant digits: more would claim a precision that no benchmark has, fewer would show a missed
/// `≤ 1.2` as 1.2.
pub(crate) fn figure(value: f64, unit: &str) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let steps = match unit {
        "ns" => TIMES,
        "ops/s" => RATES,
        "bytes" => BYTES,
        _ => return format!("{} {unit}", digits(value)).trim_end().to_owned(),
    };
    let (size, suffix) = step_for(value, steps);
    format!("{} {suffix}", digits(value / size))
}

/// As [`figure`], for what may be absent.
pub(super) fn figure_or_none(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| figure(value, unit))
}

/// `3.2×`.
pub(crate) fn ratio(value: Option<f64>) -> String {
    match value {
        Some(value) if value.is_finite() => format!("{}×", digits(value)),
        _ => NONE.to_owned(),
    }
}

/// A share as a percentage: 0.034 is `3.4 %`.
pub(super) fn percent(share: f64) -> String {
    if !share.is_finite() {
        return NONE.to_owned();
    }
    let percent = share * 100.0;
    let decimals = if percent.abs() < 9.95 { 1 } else { 0 };
    format!("{} %", trimmed(&grouped(&format!("{percent:.decimals$}"))))
}

/// As [`percent`], with its sign: `+31 %`.
pub(super) fn signed_percent(share: f64) -> String {
    let text = percent(share);
    if share > 0.0 && share.is_finite() { format!("+{text}") } else { text }
}

/// A count with thousands separators.
pub(super) fn count(value: u64) -> String {
    grouped(&value.to_string())
}

/// A count with its noun: `1 row`, `12 rows`.
pub(super) fn counted(value: usize, noun: &str) -> String {
    format!("{} {noun}{}", grouped(&value.to_string()), if value == 1 { "" } else { "s" })
}

/// A run's length: `9.4 s`, `1 min 52 s`, `1 h 3 min`.
pub(super) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return NONE.to_owned();
    }
    if seconds < 59.95 {
        return format!("{} s", trimmed(&format!("{seconds:.1}")));
    }
    let whole = seconds.round() as u64;
    if whole < 3600 {
        format!("{} min {} s", whole / 60, whole % 60)
    } else {
        format!("{} h {} min", whole / 3600, whole % 3600 / 60)
    }
}

/// Seconds since 1970-01-01 UTC as `2026-11-20 23:33 UTC`.
pub(super) fn date(at: u64) -> String {
    let (days, rest) = (at / 86_400, at % 86_400);
    // Howard Hinnant's `civil_from_days`: years begin in March, so that the leap day is a year's last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", rest / 3600, rest % 3600 / 60)
}

/// Three significant digits, without trailing zeros, with thousands separators.
fn digits(value: f64) -> String {
    let size = value.abs();
    if size > 0.0 && size < 0.001 {
        return if value > 0.0 { "<0.001".to_owned() } else { ">-0.001".to_owned() };
    }
    let decimals = match size {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.0995 => 2,
        _ => 3,
    };
    trimmed(&grouped(&format!("{value:.decimals$}")))
}

/// The largest step that the value, as it will be shown, fills: 999.7 ns is `1 µs` and not `1,000 ns`.
fn step_for<'a>(value: f64, steps: &[(f64, &'a str)]) -> (f64, &'a str) {
    let step = steps.iter().rev().find(|(size, _)| value.abs() / size >= 0.9995);
    step.or(steps.first()).copied().unwrap_or((1.0, ""))
}

/// Thousands separators for the digits before the point.
fn grouped(number: &str) -> String {
    let (sign, number) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    let (whole, rest) = number.split_at(number.find('.').unwrap_or(number.len()));
    let mut text = sign.to_owned();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + rest
}

/// Without zeros after the point's last other digit.
fn trimmed(number: &str) -> String {
    if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        number.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_in_the_step_that_suits_it() {
        let shown = |value| figure(value, "ns");
        assert_eq!(shown(0.87), "0.87 ns");
        assert_eq!(shown(0.0), "0 ns");
        assert_eq!(shown(0.0421), "0.042 ns");
        assert_eq!(shown(310.4), "310 ns");
        assert_eq!(shown(1_240.0), "1.24 µs");
        assert_eq!(shown(3_100_000.0), "3.1 ms");
        assert_eq!(shown(4.2e10), "42 s");
        assert_eq!(shown(4.2e12), "4,200 s");
    }

    #[test]
    fn a_value_that_rounds_up_to_the_next_step_is_shown_in_it() {
        assert_eq!(figure(999.7, "ns"), "1 µs");
        assert_eq!(figure(999.4, "ns"), "999 ns");
        assert_eq!(figure(9.998, "ns"), "10 ns");
        assert_eq!(figure(99.97, "ns"), "100 ns");
    }

    #[test]
    fn rates_bytes_and_other_units_have_steps_of_their_own() {
        assert_eq!(figure(22_700_000.0, "ops/s"), "22.7 M/s");
        assert_eq!(figure(980_000.0, "ops/s"), "980 k/s");
        assert_eq!(figure(12.0, "ops/s"), "12 /s");
        assert_eq!(figure(1229.0, "bytes"), "1.2 KiB");
        assert_eq!(figure(512.0, "bytes"), "512 B");
        assert_eq!(figure(100_000.0, "versions"), "100,000 versions");
        assert_eq!(figure(1.5, ""), "1.5");
    }

    #[test]
    fn what_is_not_a_number_is_never_printed() {
        assert_eq!(figure(f64::NAN, "ns"), NONE);
        assert_eq!(ratio(Some(f64::INFINITY)), NONE);
        assert_eq!(ratio(None), NONE);
        assert_eq!(percent(f64::NAN), NONE);
        assert_eq!(duration(f64::NAN), NONE);
        assert_eq!(figure_or_none(None, "ns"), NONE);
    }

    #[test]
    fn ratios_and_shares_keep_what_decides_a_target() {
        assert_eq!(ratio(Some(3.2)), "3.2×");
        assert_eq!(ratio(Some(1.23)), "1.23×");
        assert_eq!(ratio(Some(0.0312)), "0.031×");
        assert_eq!(ratio(Some(1520.0)), "1,520×");
        assert_eq!(percent(0.034), "3.4 %");
        assert_eq!(percent(12.5), "1,250 %");
        assert_eq!(signed_percent(0.31), "+31 %");
        assert_eq!(signed_percent(-0.02), "-2 %");
    }

    #[test]
    fn dates_and_lengths_of_a_run() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(date(1_795_217_600), "2026-11-20 23:33 UTC");
        assert_eq!(duration(9.44), "9.4 s");
        assert_eq!(duration(112.0), "1 min 52 s");
        assert_eq!(duration(3_790.0), "1 h 3 min");
        assert_eq!(count(1_000_000), "1,000,000");
        assert_eq!(counted(1, "row"), "1 row");
    }
}
