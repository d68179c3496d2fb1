//! How bills are drawn from saved ways to pay.

use serde::Deserialize;

use crate::domain::autopay::DrawRules;

/// How bills are drawn from saved ways to pay.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AutopaySettings {
    /// At least so many days lie between telling the customer and drawing. Many banks' rules ask for some.
    pub notice_days: u32,
    /// A bill is drawn so many days before it is due; 0 is the due date itself.
    pub days_before_due: u32,
    /// How often one bill is tried: 1, or 2 for once more after it was declined.
    pub tries: u32,
    /// Days from a declined draw to the second one.
    pub second_try_after_days: u32,
    /// A draw that is late by more days (the program did not run, or the bill was held) is announced anew.
    pub latest_days: u32,
}

impl Default for AutopaySettings {
    fn default() -> Self {
        Self { notice_days: 5, days_before_due: 0, tries: 1, second_try_after_days: 3, latest_days: 7 }
    }
}

impl AutopaySettings {
    /// Setting, whether it is in range, and the range.
    pub(super) fn bounds(&self) -> [(&'static str, bool, &'static str); 5] {
        [
            ("autopay.notice_days", self.notice_days <= 60, "0 to 60"),
            ("autopay.days_before_due", self.days_before_due <= 60, "0 to 60"),
            ("autopay.tries", (1..=2).contains(&self.tries), "1 or 2"),
            ("autopay.second_try_after_days", (1..=30).contains(&self.second_try_after_days), "1 to 30"),
            ("autopay.latest_days", self.latest_days <= 60, "0 to 60"),
        ]
    }

    /// The same as rules.
    #[must_use]
    pub fn rules(&self) -> DrawRules {
        DrawRules {
            notice_days: self.notice_days,
            days_before_due: self.days_before_due,
            tries: self.tries,
            second_try_after_days: self.second_try_after_days,
            latest_days: self.latest_days,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn settings_out_of_range_are_named() {
        assert!(Config::parse("[autopay]\nnotice_days = 10\ntries = 2\n").is_ok());
        for (setting, value) in
            [("notice_days", 61), ("days_before_due", 61), ("tries", 0), ("tries", 3), ("second_try_after_days", 0), ("latest_days", 61)]
        {
            let fault = Config::parse(&format!("[autopay]\n{setting} = {value}\n")).err().unwrap_or_default();
            assert!(fault.contains(&format!("autopay.{setting}: expected")), "{setting} = {value}: {fault}");
        }
        assert!(Config::parse("[autopay]\ncolour = 1\n").is_err());
    }
}
