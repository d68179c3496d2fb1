//! A notice as a message: text and HTML of the same figures, and headers that nothing can be slipped into.

use std::time::{Duration, SystemTime};

use askama::Template;
use chrono::{NaiveDate, NaiveDateTime};
use chrono_tz::Tz;
use lettre::message::header::{ContentType, Date, HeaderName, HeaderValue};
use lettre::message::{Attachment as Enclosed, Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};

use crate::config::Config;
use crate::domain::money::Money;
use crate::domain::notices::{
    AdjustmentGiven, Alarm, AutopayActive, AutopayAnnounced, AutopayFailed, AutopayPaused, AutopaySkipped, BillReady, DisputeAnswered, DisputeOpened,
    Facts, HighUsage, LateFee, Letter, OverchargeCorrected, PasswordChanged, PasswordLink, PayPlan, PaymentCorrected, PaymentReceived,
    PaymentReminder, PaymentReturned, RefundFailed, RefundSent, RunHeld, RunIncident, SecondFactorChanged, SignIn,
};

/// Where a person says which notices they want.
const PREFERENCES_PATH: &str = "/profile";
/// Where a new password is asked for.
const FORGOTTEN_PATH: &str = "/sign-in/link";
/// No more of what somebody else wrote (a browser's own name, say) is repeated.
const LONGEST_QUOTE: usize = 160;

/// Why a notice cannot become a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Whether the address is to blame.
    pub address: bool,
    /// Why.
    pub reason: String,
}

/// The words of a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// The subject.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

/// A file that goes with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its name: letters, figures, hyphens and points.
    pub name: String,
    /// What kind of file it is.
    pub media_type: &'static str,
    /// The file.
    pub content: Vec<u8>,
}

/// What every template may use.
struct Common {
    utility: String,
    greeting: String,
    account: String,
    subject: String,
    link: String,
    preferences: String,
    currency: String,
    time_zone: Tz,
    /// Whether a file goes with it.
    attached: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "templates pass references")]
impl Common {
    fn money(&self, cents: &i64) -> String {
        money(&self.currency, *cents)
    }

    /// The size of a credit.
    fn credit(&self, cents: &i64) -> String {
        money(&self.currency, -cents)
    }

    /// A balance as people say it: what is owed as it is, what is too much as a credit.
    fn balance(&self, cents: &i64) -> String {
        if *cents < 0 { format!("{} credit", self.credit(cents)) } else { self.money(cents) }
    }

    #[allow(clippy::unused_self, reason = "templates reach it through the same name as the others")]
    fn day(&self, on: &NaiveDate) -> String {
        on.format("%-d %B %Y").to_string()
    }

    fn moment(&self, at: &NaiveDateTime) -> String {
        at.and_utc().with_timezone(&self.time_zone).format("%-d %B %Y, %H:%M %Z").to_string()
    }
}

/// An amount with its currency.
fn money(currency: &str, cents: i64) -> String {
    let amount = Money::from_cents(cents);
    match currency {
        "USD" if cents < 0 => format!("-${}", -amount),
        "USD" => format!("${amount}"),
        other => format!("{amount} {other}"),
    }
}

/// The two templates of each kind.
macro_rules! templates {
    ($($facts:ident: $text:ident = $text_path:literal, $html:ident = $html_path:literal;)+) => {$(
        #[derive(Template)]
        #[template(path = $text_path)]
        struct $text<'a> {
            common: &'a Common,
            facts: &'a $facts,
        }
        #[derive(Template)]
        #[template(path = $html_path)]
        struct $html<'a> {
            common: &'a Common,
            facts: &'a $facts,
        }
    )+
        fn render(common: &Common, facts: &Facts) -> askama::Result<(String, String)> {
            match facts {
                $(Facts::$facts(facts) => Ok(($text { common, facts }.render()?, $html { common, facts }.render()?)),)+
            }
        }
    };
}

templates! {
    BillReady: BillReadyText = "notices/bill_ready.txt", BillReadyHtml = "notices/bill_ready.html";
    PaymentReceived: PaymentReceivedText = "notices/payment_received.txt", PaymentReceivedHtml = "notices/payment_received.html";
    PaymentReturned: PaymentReturnedText = "notices/payment_returned.txt", PaymentReturnedHtml = "notices/payment_returned.html";
    PaymentCorrected: PaymentCorrectedText = "notices/payment_corrected.txt", PaymentCorrectedHtml = "notices/payment_corrected.html";
    AutopayActive: AutopayActiveText = "notices/autopay_active.txt", AutopayActiveHtml = "notices/autopay_active.html";
    AutopayAnnounced: AutopayAnnouncedText = "notices/autopay_announced.txt", AutopayAnnouncedHtml = "notices/autopay_announced.html";
    AutopaySkipped: AutopaySkippedText = "notices/autopay_skipped.txt", AutopaySkippedHtml = "notices/autopay_skipped.html";
    AutopayFailed: AutopayFailedText = "notices/autopay_failed.txt", AutopayFailedHtml = "notices/autopay_failed.html";
    AutopayPaused: AutopayPausedText = "notices/autopay_paused.txt", AutopayPausedHtml = "notices/autopay_paused.html";
    RefundSent: RefundSentText = "notices/refund_sent.txt", RefundSentHtml = "notices/refund_sent.html";
    RefundFailed: RefundFailedText = "notices/refund_failed.txt", RefundFailedHtml = "notices/refund_failed.html";
    AdjustmentGiven: AdjustmentGivenText = "notices/adjustment_given.txt", AdjustmentGivenHtml = "notices/adjustment_given.html";
    OverchargeCorrected: OverchargeCorrectedText = "notices/overcharge_corrected.txt", OverchargeCorrectedHtml = "notices/overcharge_corrected.html";
    LateFee: LateFeeText = "notices/late_fee.txt", LateFeeHtml = "notices/late_fee.html";
    PaymentReminder: PaymentReminderText = "notices/payment_reminder.txt", PaymentReminderHtml = "notices/payment_reminder.html";
    PayPlan: PayPlanText = "notices/pay_plan.txt", PayPlanHtml = "notices/pay_plan.html";
    DisputeOpened: DisputeOpenedText = "notices/dispute_opened.txt", DisputeOpenedHtml = "notices/dispute_opened.html";
    DisputeAnswered: DisputeAnsweredText = "notices/dispute_answered.txt", DisputeAnsweredHtml = "notices/dispute_answered.html";
    HighUsage: HighUsageText = "notices/high_usage.txt", HighUsageHtml = "notices/high_usage.html";
    Alarm: AlarmText = "notices/alarm.txt", AlarmHtml = "notices/alarm.html";
    RunHeld: RunHeldText = "notices/run_held.txt", RunHeldHtml = "notices/run_held.html";
    RunIncident: RunIncidentText = "notices/run_incident.txt", RunIncidentHtml = "notices/run_incident.html";
    SignIn: SignInText = "notices/sign_in.txt", SignInHtml = "notices/sign_in.html";
    PasswordLink: PasswordLinkText = "notices/password_link.txt", PasswordLinkHtml = "notices/password_link.html";
    PasswordChanged: PasswordChangedText = "notices/password_changed.txt", PasswordChangedHtml = "notices/password_changed.html";
    SecondFactorChanged: SecondFactorChangedText = "notices/second_factor_changed.txt", SecondFactorChangedHtml = "notices/second_factor_changed.html";
}

/// The words of a letter.
///
/// # Errors
/// When a template fails, which it does not for facts of its kind.
pub fn words(config: &Config, letter: &Letter) -> Result<Words, String> {
    words_with(config, letter, false)
}

fn words_with(config: &Config, letter: &Letter, attached: bool) -> Result<Words, String> {
    let facts = quoted(&letter.facts);
    let mut common = Common {
        utility: config.utility_name.clone(),
        greeting: one_line(&letter.recipient_name),
        account: letter.account.clone().unwrap_or_default(),
        subject: String::new(),
        link: format!("{}{}", config.public_url.trim_end_matches('/'), path(letter)),
        preferences: if facts.kind().can_be_switched_off() { preferences_link(config) } else { String::new() },
        currency: config.currency.clone(),
        time_zone: config.time_zone,
        attached,
    };
    common.subject = one_line(&subject(&common, &facts));
    let (text, html) = render(&common, &facts).map_err(|error| error.to_string())?;
    Ok(Words { subject: common.subject, text, html })
}

fn subject(common: &Common, facts: &Facts) -> String {
    match facts {
        Facts::BillReady(bill) if bill.amount_due_cents > 0 => {
            format!("Your bill of {}: {} due by {}", common.day(&bill.bill_on), common.money(&bill.amount_due_cents), common.day(&bill.due_on))
        }
        Facts::BillReady(bill) => format!("Your bill of {}: nothing to pay", common.day(&bill.bill_on)),
        Facts::PaymentReceived(payment) => format!("We received your payment of {}", common.money(&payment.amount_cents)),
        Facts::PaymentReturned(payment) => format!("Your payment of {} was returned", common.money(&payment.amount_cents)),
        Facts::PaymentCorrected(payment) => format!("Your payment {} was corrected", payment.reference),
        Facts::AutopayActive(_) => "Autopay is set up".to_owned(),
        Facts::AutopayAnnounced(draw) => format!("{} will be drawn on {}", common.money(&draw.amount_cents), common.day(&draw.draw_on)),
        Facts::AutopaySkipped(draw) if draw.to_pay => format!("Please pay bill {} yourself: it is not drawn", draw.bill_number),
        Facts::AutopaySkipped(draw) => format!("Bill {} is not drawn", draw.bill_number),
        Facts::AutopayFailed(draw) => format!("{} could not be drawn", common.money(&draw.amount_cents)),
        Facts::AutopayPaused(paused) if paused.ended => "Autopay has ended".to_owned(),
        Facts::AutopayPaused(_) => "Autopay is paused".to_owned(),
        Facts::RefundSent(refund) => format!("We sent you {}", common.money(&refund.amount_cents)),
        Facts::RefundFailed(refund) => format!("A refund of {} did not arrive", common.money(&refund.amount_cents)),
        Facts::AdjustmentGiven(given) if given.amount_cents < 0 => format!("A credit of {} to your account", common.credit(&given.amount_cents)),
        Facts::AdjustmentGiven(given) => format!("A charge of {} to your account", common.money(&given.amount_cents)),
        Facts::OverchargeCorrected(wrong) => correction_subject(common, wrong),
        Facts::LateFee(fee) => format!("A late fee of {} on bill {}", common.money(&fee.amount_cents), fee.bill_number),
        Facts::PaymentReminder(reminder) => format!("{}: {} is overdue", reminder.name, common.money(&reminder.overdue_cents)),
        Facts::PayPlan(plan) => match plan.state.as_str() {
            "active" => format!("Your pay plan for {}", common.money(&plan.total_cents)),
            "kept" => "Your pay plan is paid".to_owned(),
            "broken" => "Your pay plan has ended: an instalment is missing".to_owned(),
            _ => "Your pay plan was cancelled".to_owned(),
        },
        Facts::DisputeOpened(asked) => format!("We have your question about bill {}", asked.bill_number),
        Facts::DisputeAnswered(answered) => format!("Your question about bill {}: {}", answered.bill_number, answered.outcome.to_lowercase()),
        Facts::HighUsage(usage) => format!("Unusually high usage at {}", usage.address),
        Facts::RunHeld(run) => format!("Bill run {} is held: nothing was issued", run.run_id),
        Facts::RunIncident(incident) if incident.mended => format!("Case {}: wrong bills were put right", incident.case_id),
        Facts::RunIncident(incident) => format!("Case {}: issued bills are wrong", incident.case_id),
        Facts::Alarm(alarm) => format!("Alarm: {}", alarm.alarm.title()),
        Facts::SignIn(_) => "A new device signed in to your account".to_owned(),
        Facts::PasswordLink(link) if link.first => "Choose your password".to_owned(),
        Facts::PasswordLink(_) => "Set a new password".to_owned(),
        Facts::PasswordChanged(_) => "Your password was changed".to_owned(),
        Facts::SecondFactorChanged(_) => "Your second factor was changed".to_owned(),
    }
}

fn correction_subject(common: &Common, wrong: &OverchargeCorrected) -> String {
    match wrong.too_much_cents() {
        0 => "Your bill was corrected".to_owned(),
        _ if wrong.is_only_taken_back() => "A bill of yours does not count any more".to_owned(),
        more if more > 0 && wrong.asked => format!("We asked you for {} too much: your bill is corrected", common.money(&more)),
        more if more > 0 => format!("We charged you {} too much: it is corrected", common.money(&more)),
        less => format!("Your bill was {} too low: it is corrected", common.credit(&less)),
    }
}

/// Where the notice's link leads, from `public_url` on.
fn path(letter: &Letter) -> String {
    let account = || letter.account.as_deref().map_or_else(|| "/".to_owned(), |number| format!("/account/{}", escaped(number)));
    match &letter.facts {
        Facts::BillReady(bill) => format!("/bills/{}", escaped(&bill.bill_number)),
        Facts::AutopayAnnounced(draw) => format!("/bills/{}", escaped(&draw.bill_number)),
        Facts::AutopaySkipped(draw) => format!("/bills/{}", escaped(&draw.bill_number)),
        Facts::AutopayFailed(draw) => format!("/bills/{}", escaped(&draw.bill_number)),
        Facts::OverchargeCorrected(OverchargeCorrected { bill_number: Some(number), .. }) => format!("/bills/{}", escaped(number)),
        Facts::LateFee(fee) => format!("/bills/{}", escaped(&fee.bill_number)),
        Facts::DisputeOpened(asked) => format!("/bills/{}/dispute", escaped(&asked.bill_number)),
        Facts::DisputeAnswered(answered) => format!("/bills/{}/dispute", escaped(&answered.bill_number)),
        Facts::AutopayActive(_) | Facts::AutopayPaused(_) => format!("{}/autopay", account()),
        // To staff it goes without an account of its own.
        Facts::RefundFailed(refund) if letter.account.is_none() => format!("/staff/accounts/{}/refunds", escaped(&refund.account)),
        Facts::PaymentReceived(_)
        | Facts::PaymentReturned(_)
        | Facts::PaymentCorrected(_)
        | Facts::RefundSent(_)
        | Facts::RefundFailed(_)
        | Facts::AdjustmentGiven(_)
        | Facts::OverchargeCorrected(_)
        | Facts::PaymentReminder(_)
        | Facts::PayPlan(_)
        | Facts::HighUsage(_) => account(),
        Facts::RunHeld(run) => format!("/staff/runs/{}", run.run_id),
        Facts::RunIncident(incident) => format!("/staff/overcharges/{}", incident.case_id),
        Facts::Alarm(alarm) => alarm.alarm.path().to_owned(),
        Facts::PasswordLink(link) => link.path.clone(),
        Facts::SignIn(_) | Facts::PasswordChanged(_) | Facts::SecondFactorChanged(_) => FORGOTTEN_PATH.to_owned(),
    }
}

fn preferences_link(config: &Config) -> String {
    format!("{}{PREFERENCES_PATH}", config.public_url.trim_end_matches('/'))
}

/// A part of a path: whatever is not plainly harmless is percent-encoded.
fn escaped(part: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    part.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The facts with what strangers wrote cut to a harmless length and one line.
fn quoted(facts: &Facts) -> Facts {
    match facts {
        Facts::SignIn(sign_in) => Facts::SignIn(SignIn { device: short(&sign_in.device), ..sign_in.clone() }),
        Facts::PaymentReturned(returned) => Facts::PaymentReturned(PaymentReturned { reason: short(&returned.reason), ..returned.clone() }),
        Facts::AutopayFailed(failed) => Facts::AutopayFailed(AutopayFailed { reason: short(&failed.reason), ..failed.clone() }),
        Facts::RefundFailed(failed) => Facts::RefundFailed(RefundFailed { reason: short(&failed.reason), ..failed.clone() }),
        other => other.clone(),
    }
}

fn short(text: &str) -> String {
    one_line(text).chars().take(LONGEST_QUOTE).collect()
}

/// Text without line breaks and other control characters: for headers.
fn one_line(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Who notices are from.
///
/// # Errors
/// The setting and what was expected.
pub fn sender(config: &Config) -> Result<Mailbox, String> {
    let from = &config.mail.from;
    from.parse().map_err(|error| format!("mail.from: '{from}' is not an address: {error}"))
}

/// The message of a letter, the same bytes whenever it is made.
///
/// # Errors
/// [`Fault`] when the address is none, or a setting or template does not work.
pub fn compose(config: &Config, letter: &Letter) -> Result<Message, Fault> {
    compose_with(config, letter, None)
}

/// The same with a file that goes with it.
///
/// # Errors
/// Those of [`compose`].
pub fn compose_with(config: &Config, letter: &Letter, attachment: Option<&Attachment>) -> Result<Message, Fault> {
    let ours = |reason: String| Fault { address: false, reason };
    let words = words_with(config, letter, attachment.is_some()).map_err(ours)?;
    let address: Address =
        letter.recipient.trim().parse().map_err(|error| Fault { address: true, reason: format!("it is no e-mail address: {error}") })?;
    let name = one_line(&letter.recipient_name);
    let seconds = u64::try_from(letter.created_at.and_utc().timestamp()).unwrap_or(0);
    let mut builder = Message::builder()
        .from(sender(config).map_err(ours)?)
        .to(Mailbox::new((!name.is_empty()).then_some(name), address))
        .subject(words.subject.clone())
        .message_id(Some(format!("<{}>", letter.message_id)))
        .header(Date::new(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)))
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()));
    if !config.mail.reply_to.is_empty() {
        let reply_to = config.mail.reply_to.parse().map_err(|error| ours(format!("mail.reply_to: '{}': {error}", config.mail.reply_to)))?;
        builder = builder.reply_to(reply_to);
    }
    if letter.facts.kind().can_be_switched_off() {
        let link = format!("<{}>", preferences_link(config));
        builder = builder.raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("List-Unsubscribe"), link));
    }
    builder.multipart(body(letter, words, attachment).map_err(ours)?).map_err(|error| ours(error.to_string()))
}

/// Text and HTML as one, and the file beside them. The boundaries are the letter's own, so that the bytes stay the same.
fn body(letter: &Letter, words: Words, attachment: Option<&Attachment>) -> Result<MultiPart, String> {
    let boundary: String = letter.message_id.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    let text = SinglePart::builder().header(ContentType::TEXT_PLAIN).body(words.text);
    let html = SinglePart::builder().header(ContentType::TEXT_HTML).body(words.html);
    let parts = MultiPart::alternative().boundary(format!("part-{boundary}")).singlepart(text).singlepart(html);
    let Some(attachment) = attachment else { return Ok(parts) };
    let kind = ContentType::parse(attachment.media_type).map_err(|error| error.to_string())?;
    let file = Enclosed::new(attachment.name.clone()).body(attachment.content.clone(), kind);
    Ok(MultiPart::mixed().boundary(format!("mixed-{boundary}")).multipart(parts).singlepart(file))
}
