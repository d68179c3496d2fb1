//! The bill on paper: what stands where. Top to bottom: who bills whom, what is due, how it comes about, each service with its
//! reads and charges, how to pay, and a slip to send along.

use super::font::{Faces, Weight};
use super::layout::{Align, Composed, Composer, Ink, Line, MARGIN, Part, Piece, Role, Run, Shape, Sheet, Style};
use super::paint::About;
use super::table::{Cell, Column, Kind, Row, Table};
use super::units::POINT;
use crate::actions::bill_words::{BillWords, LineGroup, ReadWords, SegmentWords};
use crate::config::Config;
use crate::domain::wording;

const TEXT: Style = Style { weight: Weight::Regular, size: 9_200, ink: Ink::Black };
const STRONG: Style = Style { weight: Weight::Bold, ..TEXT };
const SOFT: Style = Style { size: 8_200, ink: Ink::Soft, ..TEXT };
const NAME: Style = Style { weight: Weight::Bold, size: 17 * POINT, ink: Ink::Water };
const TITLE: Style = Style { weight: Weight::Bold, size: 15 * POINT, ink: Ink::Black };
const HEADING: Style = Style { weight: Weight::Bold, size: 12 * POINT, ink: Ink::Water };
const SUBHEADING: Style = Style { weight: Weight::Bold, size: 10 * POINT, ink: Ink::Black };
const AMOUNT: Style = Style { weight: Weight::Bold, size: 24 * POINT, ink: Ink::Black };
const ALARM: Style = Style { weight: Weight::Bold, size: 14 * POINT, ink: Ink::Alarm };
const FOOT: Style = Style { size: 8 * POINT, ..SOFT };
/// Where the right half begins, measured from the left margin.
const RIGHT_HALF: i32 = 272 * POINT;
/// The column of amounts.
const AMOUNTS: i32 = 96 * POINT;
/// The column of quantities and prices.
const WORKINGS: i32 = 120 * POINT;
/// Where the address stands, so that it shows in an envelope's window.
const ADDRESS_Y: i32 = 132 * POINT;
/// White space within boxes.
const INSET: i32 = 10 * POINT;
/// What a heading needs below it on the same page.
const COMPANY: i32 = 48 * POINT;

/// Lays a bill out.
pub(super) fn compose(bill: &BillWords, config: &Config, faces: &Faces, sheet: Sheet) -> Composed {
    let mut composer = Composer::new(faces, sheet);
    letterhead(&mut composer, bill, config);
    if bill.cancelled.is_some() {
        taken_back(&mut composer, bill);
    }
    due(&mut composer, bill);
    account(&mut composer, bill);
    for segment in &bill.segments {
        service(&mut composer, segment);
    }
    if bill.asks() {
        how_to_pay(&mut composer, bill, config);
    }
    feet(&mut composer, bill, config);
    composer.done
}

/// What the file says of itself.
pub(super) fn about(bill: &BillWords, config: &Config) -> About {
    About {
        title: format!("{} of {}, {}", kind(bill), wording::date(bill.bill_on), config.utility_name),
        author: config.utility_name.clone(),
        subject: format!("Bill {} for account {}", bill.number, bill.account),
        on: bill.bill_on,
    }
}

fn kind(bill: &BillWords) -> &'static str {
    if bill.is_final { "Final bill" } else { "Bill" }
}

fn run(text: impl Into<String>, style: Style) -> Run {
    Run { text: text.into(), style }
}

/// A paragraph over the whole width.
fn paragraph(composer: &mut Composer<'_>, within: Option<Part>, runs: &[Run]) {
    let part = composer.part(within, Role::Paragraph);
    let lines = composer.lines(runs, MARGIN, composer.sheet().measure(), Align::Left, Some(part));
    composer.flow(&[lines]);
}

/// A heading; it never stands alone at the foot of a page.
fn heading(composer: &mut Composer<'_>, within: Option<Part>, level: u16, runs: &[Run]) {
    let title: String = runs.iter().map(|run| run.text.as_str()).collect();
    let part = composer.part(within, Role::Heading(level, title.clone()));
    let lines = composer.lines(runs, MARGIN, composer.sheet().measure(), Align::Left, Some(part));
    composer.need(lines.iter().map(|line| line.height).sum::<i32>() + COMPANY);
    note_heading(composer, level, title);
    composer.flow(&[lines]);
    composer.y += 3 * POINT;
}

fn note_heading(composer: &mut Composer<'_>, level: u16, title: String) {
    let (page, y) = (composer.done.pages.len() - 1, composer.y);
    composer.done.outline.push((level, title, page, y));
}

fn letterhead(composer: &mut Composer<'_>, bill: &BillWords, config: &Config) {
    let section = composer.part(None, Role::Section);
    let measure = composer.sheet().measure();
    let half = measure / 2 - INSET;
    let utility = composer.part(Some(section), Role::Paragraph);
    let left = composer.lines(&[run(&config.utility_name, NAME)], MARGIN, half, Align::Left, Some(utility));
    let title = format!("{} of {}", kind(bill), wording::date(bill.bill_on));
    let heading = composer.part(Some(section), Role::Heading(1, title.clone()));
    note_heading(composer, 1, title.clone());
    let mut right = composer.lines(&[run(title, TITLE)], MARGIN + measure - half, half, Align::Right, Some(heading));
    if bill.estimated {
        let part = composer.part(Some(section), Role::Paragraph);
        right.extend(composer.lines(&[run("partly estimated", SOFT)], MARGIN + measure - half, half, Align::Right, Some(part)));
    }
    composer.flow(&[left, right]);
    composer.y += 4 * POINT;
    composer.rule(MARGIN, measure, 2 * POINT, Ink::Water);
    composer.y += 14 * POINT;
    whose(composer, bill, section);
    composer.gap(12 * POINT);
}

/// Whom the bill is for, at the place of an envelope's window, and its numbers and dates beside it.
fn whose(composer: &mut Composer<'_>, bill: &BillWords, section: Part) {
    let address = composer.part(Some(section), Role::Paragraph);
    let mut runs = vec![run(&bill.name, STRONG)];
    if let Some(lines) = &bill.address {
        runs.push(run(format!("\n{lines}"), TEXT));
    }
    let mut left = vec![Line { height: (ADDRESS_Y - composer.y).max(0), ..Line::default() }];
    left.extend(composer.lines(&runs, MARGIN, RIGHT_HALF - 2 * INSET, Align::Left, Some(address)));
    let facts = [
        ("Bill number", bill.number.clone()),
        ("Account", bill.account.clone()),
        ("Bill date", wording::date(bill.bill_on)),
        ("Due date", wording::date(bill.due_on)),
    ];
    let right = facts_lines(composer, Some(section), "Number, account and dates of this bill", &facts);
    composer.flow(&[left, right]);
}

/// A small table of names and values in the right half.
fn facts_lines(composer: &mut Composer<'_>, within: Option<Part>, about: &str, facts: &[(&str, String)]) -> Vec<Line> {
    const NAMES: i32 = 96 * POINT;
    let table = composer.part(within, Role::Table(about.to_owned()));
    let body = composer.part(Some(table), Role::TableBody);
    let (x, width) = (MARGIN + RIGHT_HALF, composer.sheet().measure() - RIGHT_HALF);
    let mut lines = Vec::new();
    for (name, value) in facts {
        let row = composer.part(Some(body), Role::Row);
        let header = composer.part(Some(row), Role::RowHeader(1));
        let cell = composer.part(Some(row), Role::Cell);
        let names = composer.lines(&[run(*name, Style { ink: Ink::Soft, ..TEXT })], x, NAMES, Align::Left, Some(header));
        let values = composer.lines(&[run(value, STRONG)], x + NAMES, width - NAMES, Align::Left, Some(cell));
        lines.extend(beside(names, values));
    }
    lines
}

/// Lines that stand at the same height.
fn beside(left: Vec<Line>, right: Vec<Line>) -> Vec<Line> {
    let rows = left.len().max(right.len());
    let (mut left, mut right) = (left.into_iter(), right.into_iter());
    let join = |_| {
        let (mut one, other) = (left.next().unwrap_or_default(), right.next().unwrap_or_default());
        one.height = one.height.max(other.height) + POINT;
        one.baseline = one.baseline.max(other.baseline);
        one.pieces.extend(other.pieces);
        one
    };
    (0..rows).map(join).collect()
}

/// A box around columns of lines. What is too high for any page goes without its box.
fn boxed(composer: &mut Composer<'_>, columns: &[Vec<Line>], frame: Ink, ground: Option<Ink>) {
    let height = columns.iter().map(|lines| lines.iter().map(|line| line.height).sum::<i32>()).max().unwrap_or(0) + 2 * INSET;
    let measure = composer.sheet().measure();
    composer.need(height);
    if composer.y + height <= composer.sheet().bottom() {
        if let Some(ground) = ground {
            composer.draw(Shape::Box(MARGIN, composer.y, measure, height, ground));
        }
        composer.draw(Shape::Frame(MARGIN, composer.y, measure, height, frame));
    }
    composer.y += INSET;
    composer.flow(columns);
    composer.y += INSET;
}

fn taken_back(composer: &mut Composer<'_>, bill: &BillWords) {
    let Some(cancelled) = &bill.cancelled else { return };
    let section = composer.part(None, Role::Section);
    let heading = composer.part(Some(section), Role::Heading(2, "This bill was taken back".to_owned()));
    note_heading(composer, 2, "This bill was taken back".to_owned());
    let (x, width) = (MARGIN + INSET, composer.sheet().measure() - 2 * INSET);
    let mut lines = composer.lines(&[run("THIS BILL WAS TAKEN BACK", ALARM)], x, width, Align::Left, Some(heading));
    let part = composer.part(Some(section), Role::Paragraph);
    let mut runs = vec![
        run(format!("It was taken back on {} with ", wording::whole_date(cancelled.on)), TEXT),
        run(&cancelled.amount, STRONG),
        run(format!(" (ledger position {}). ", cancelled.seq), TEXT),
        run("Please do not pay it: what counts is the balance of your account.", TEXT),
    ];
    if let Some(replaced) = &cancelled.replaced {
        runs.push(run(format!(" Bill {replaced} came in its place."), TEXT));
    }
    lines.extend(composer.lines(&runs, x, width, Align::Left, Some(part)));
    boxed(composer, &[lines], Ink::Alarm, None);
    composer.gap(10 * POINT);
}

/// What is to be paid, large, and by when.
fn due(composer: &mut Composer<'_>, bill: &BillWords) {
    let section = composer.part(None, Role::Section);
    let title = bill.amount_title();
    let heading = composer.part(Some(section), Role::Heading(2, title.to_owned()));
    note_heading(composer, 2, title.to_owned());
    let x = MARGIN + INSET;
    let mut left = composer.lines(&[run(title, HEADING)], x, RIGHT_HALF - 2 * INSET, Align::Left, Some(heading));
    let amount = composer.part(Some(section), Role::Paragraph);
    left.extend(composer.lines(&[run(&bill.amount_due, AMOUNT)], x, RIGHT_HALF - 2 * INSET, Align::Left, Some(amount)));
    let (x, width) = (MARGIN + RIGHT_HALF, composer.sheet().measure() - RIGHT_HALF - INSET);
    let mut right = Vec::new();
    for runs in what_to_do(bill) {
        let part = composer.part(Some(section), Role::Paragraph);
        right.extend(composer.lines(&runs, x, width, Align::Left, Some(part)));
    }
    boxed(composer, &[left, right], Ink::Water, Some(Ink::Ground));
    composer.gap(10 * POINT);
}

/// What the customer does about the amount, in the words of the bill's page.
fn what_to_do(bill: &BillWords) -> Vec<Vec<Run>> {
    let mut told = about_the_amount(bill);
    if let Some(now) = &bill.now {
        let then = if now.owed { ", which is to be paid." } else { "." };
        let since = "Since then there was more on your account: its balance is now ";
        told.push(vec![run(since, TEXT), run(&now.balance, STRONG), run(then, TEXT)]);
    }
    told
}

fn about_the_amount(bill: &BillWords) -> Vec<Vec<Run>> {
    let plain = |text: &str| run(text, TEXT);
    if bill.cancelled.is_some() {
        return vec![vec![plain("This bill does not count any more.")]];
    }
    if !bill.owed {
        let rest = if bill.is_final { "" } else { " What is left over is taken off your next one." };
        return vec![vec![plain(&format!("Nothing is to be paid for this bill.{rest}"))]];
    }
    let asked = bill.now.as_ref().map_or_else(|| "Please pay by ".to_owned(), |now| format!("It {} due on ", now.is_due));
    let pay_by = || vec![plain(&asked), run(wording::whole_date(bill.due_on), STRONG), plain(".")];
    if bill.is_settled() {
        return vec![vec![plain(&asked), plain(&wording::whole_date(bill.due_on)), plain(". "), run("Nothing is due now.", STRONG)]];
    }
    let mut told = match &bill.draw {
        Some(draw) if draw.will_be_drawn && bill.held.is_none() => vec![vec![
            run(&draw.amount, STRONG),
            plain(" will be drawn on "),
            run(wording::whole_date(draw.on), STRONG),
            plain(" from "),
            run(&draw.method, STRONG),
            plain(". What is paid before is taken off."),
        ]],
        Some(draw) => {
            let note = draw.note.as_ref().map(|note| format!(" {note}")).unwrap_or_default();
            vec![pay_by(), vec![plain(&format!("Autopay: {}.{note}", draw.words))]]
        }
        None => vec![pay_by()],
    };
    if let Some(held) = &bill.held {
        let looked_into = format!(" ({held}): nothing is drawn for it until that is settled.");
        told.push(vec![plain("We look into this bill"), plain(&looked_into)]);
    }
    told
}

/// A name and an amount.
fn amount_row(kind: Kind, style: Style, name: impl Into<String>, note: Option<&str>, amount: &str) -> Row {
    let note = note.map(|note| vec![run(note, SOFT)]).unwrap_or_default();
    Row { kind, cells: vec![Cell { note, ..Cell::new(vec![run(name, style)]) }, Cell::new(vec![run(amount, style)])] }
}

/// Columns of a name and an amount over the whole width.
fn amount_columns(sheet: Sheet) -> Vec<Column> {
    let width = sheet.measure() - AMOUNTS;
    vec![Column { x: MARGIN, width, align: Align::Left }, Column { x: MARGIN + width, width: AMOUNTS, align: Align::Right }]
}

fn account(composer: &mut Composer<'_>, bill: &BillWords) {
    let section = composer.part(None, Role::Section);
    heading(composer, Some(section), 2, &[run("How it comes about", HEADING)]);
    let mut rows = vec![amount_row(Kind::Plain, STRONG, "Previous balance", None, &bill.previous_balance)];
    for entry in &bill.entries {
        let words = format!("{} {}", wording::whole_date(entry.on), entry.words);
        rows.push(amount_row(Kind::Plain, TEXT, words, entry.note.as_deref(), &entry.amount));
    }
    rows.push(amount_row(Kind::Plain, STRONG, "Payments received", None, &bill.payments));
    if let Some(adjustments) = &bill.adjustments {
        rows.push(amount_row(Kind::Plain, STRONG, "Adjustments", None, adjustments));
    }
    rows.push(amount_row(Kind::Plain, STRONG, "Charges of this bill", None, &bill.charges));
    rows.push(amount_row(Kind::Sum, STRONG, "Amount due", None, &bill.amount_due));
    let about = "How the amount due comes about".to_owned();
    Table { about, columns: amount_columns(composer.sheet()), head: vec!["What", "Amount"], rows }.place(composer, Some(section));
    composer.gap(4 * POINT);
    paragraph(composer, Some(section), &[run(deducted(bill), SOFT)]);
    composer.gap(10 * POINT);
}

/// The last payment that counts, and up to where the ledger is in the bill.
fn deducted(bill: &BillWords) -> String {
    let payment = match &bill.deducted {
        None => "Deducted: no payment was received yet; ".to_owned(),
        Some(payment) => {
            let which = if payment.is_new {
                "Deducted: payment of"
            } else {
                "No payment since the bill before. The last one that counts is in the previous balance: payment of"
            };
            let reference = if payment.reference.is_empty() { String::new() } else { format!(", reference {}", payment.reference) };
            format!("{which} {} on {}{reference}; ", payment.amount, wording::whole_date(payment.on))
        }
    };
    format!("{payment}everything posted up to ledger position {} is included.", bill.cut_off_seq)
}

fn service(composer: &mut Composer<'_>, segment: &SegmentWords) {
    let section = composer.part(None, Role::Section);
    let last = if segment.is_last { " (final)" } else { "" };
    let place = if segment.address.is_empty() { String::new() } else { format!(" at {}", segment.address) };
    heading(composer, Some(section), 2, &[run(format!("{}{place}{last}", segment.service), HEADING)]);
    let (from, to) = (wording::whole_date(segment.start_on), wording::whole_date(segment.end_on));
    let mut told = format!("{}, service {}, {from} to {to}, {}", segment.rate, segment.service_id, segment.days);
    for (name, value) in &segment.terms {
        told.push_str(&format!("; {name}: {value}"));
    }
    paragraph(composer, Some(section), &[run(told, SOFT)]);
    if let Some(estimate) = &segment.estimated {
        let basis = estimate.basis.as_ref().map(|basis| format!(" {basis}")).unwrap_or_default();
        let how = format!(" The meter was not read on {}, so its reading was estimated{basis}. ", wording::whole_date(estimate.on));
        let then = "When the meter is read again, the difference is charged or credited on your next bill.";
        composer.gap(3 * POINT);
        paragraph(composer, Some(section), &[run("Estimated.", STRONG), run(how, TEXT), run(then, TEXT)]);
    }
    if !segment.reads.is_empty() {
        reads(composer, section, segment);
    }
    charges(composer, section, segment);
    composer.gap(10 * POINT);
}

fn reads(composer: &mut Composer<'_>, section: Part, segment: &SegmentWords) {
    composer.gap(5 * POINT);
    heading(composer, Some(section), 3, &[run("Meter reads", SUBHEADING)]);
    let wide = (composer.sheet().measure() - AMOUNTS) / 2;
    let columns = vec![
        Column { x: MARGIN, width: wide - INSET, align: Align::Left },
        Column { x: MARGIN + wide, width: wide - INSET, align: Align::Left },
        Column { x: MARGIN + 2 * wide, width: composer.sheet().measure() - 2 * wide, align: Align::Right },
    ];
    let about = format!("Meter reads of {} service {} to {}", segment.service, segment.service_id, wording::date(segment.end_on));
    let rows = segment.reads.iter().map(read_row).collect();
    Table { about, columns, head: vec!["From", "To", "Counted"], rows }.place(composer, Some(section));
    composer.gap(2 * POINT);
    if let Some(winter) = &segment.winter {
        let counted = winter.counted.as_ref().map(|counted| format!(": {counted}")).unwrap_or_default();
        let when = format!("This service is charged by your winter use{counted} in {} of the winter that ended in {}. ", winter.days, winter.year);
        paragraph(composer, Some(section), &[run(when, TEXT), run("What waters a garden in summer is not charged here.", TEXT)]);
    }
    let what = if segment.winter.is_some() { "Usage that is charged: " } else { "Usage: " };
    let mut usage = vec![run(what, TEXT), run(format!("{} {}", segment.usage, segment.unit), STRONG)];
    if let Some(full) = segment.unit_in_full {
        usage.push(run(format!(" ({}: {full})", segment.unit), SOFT));
    }
    paragraph(composer, Some(section), &usage);
}

fn read_row(read: &ReadWords) -> Row {
    let cell =
        |on, count: &str, how: String| Cell::new(vec![run(format!("{}: ", wording::whole_date(on)), TEXT), run(count, STRONG), run(how, SOFT)]);
    let multiplier = read.multiplier.as_ref().map(|multiplier| format!(" {multiplier}")).unwrap_or_default();
    let counted = vec![run(format!("{}{multiplier}", read.counted), STRONG), run(format!(" in {}", read.days), SOFT)];
    let (from, to) = (cell(read.from_on, &read.from, String::new()), cell(read.to_on, &read.to, format!(", {}", read.kind)));
    Row { kind: Kind::Cells, cells: vec![from, to, Cell::new(counted)] }
}

fn charges(composer: &mut Composer<'_>, section: Part, segment: &SegmentWords) {
    composer.gap(5 * POINT);
    heading(composer, Some(section), 3, &[run("Charges", SUBHEADING)]);
    if !segment.rate_days.is_empty() {
        let parts = segment.rate_days.iter().map(|part| format!("{} at rates from {}", part.days, wording::whole_date(part.from)));
        let told = format!("The rates changed within this period: {}.", parts.collect::<Vec<_>>().join(", "));
        paragraph(composer, Some(section), &[run(told, TEXT)]);
        composer.gap(3 * POINT);
    }
    let mut rows: Vec<Row> = segment.groups.iter().flat_map(group_rows).collect();
    rows.push(charge_row(Kind::Sum, STRONG, "Total of this service", None, &segment.total));
    let about = format!("Charges of {} service {} to {}", segment.service, segment.service_id, wording::date(segment.end_on));
    let width = composer.sheet().measure() - AMOUNTS;
    let columns = vec![
        Column { x: MARGIN, width: width - WORKINGS, align: Align::Left },
        Column { x: MARGIN + width - WORKINGS, width: WORKINGS, align: Align::Right },
        Column { x: MARGIN + width, width: AMOUNTS, align: Align::Right },
    ];
    Table { about, columns, head: vec!["Charge", "Quantity × price", "Amount"], rows }.place(composer, Some(section));
}

/// A charge, how it is worked out, and what it comes to.
fn charge_row(kind: Kind, style: Style, name: &str, working: Option<&str>, amount: &str) -> Row {
    let name = Cell { columns: if working.is_some() { 1 } else { 2 }, ..Cell::new(vec![run(name, style)]) };
    let working = working.map(|working| Cell::new(vec![run(working, Style { ink: Ink::Soft, ..TEXT })]));
    Row { kind, cells: std::iter::once(name).chain(working).chain([Cell::new(vec![run(amount, style)])]).collect() }
}

fn group_rows(group: &LineGroup) -> Vec<Row> {
    let over = |title: String, note: Option<&String>| {
        let note = note.map(|note| vec![run(note, SOFT)]).unwrap_or_default();
        Row { kind: Kind::Group, cells: vec![Cell { note, columns: 3, ..Cell::new(vec![run(title, STRONG)]) }] }
    };
    let mut rows = Vec::new();
    if let Some(title) = &group.title {
        rows.push(over(format!("{} at rates from {}", title.days, wording::whole_date(title.from)), None));
    }
    if let Some(sort) = group.sort {
        rows.push(over(sort.to_owned(), group.explained.as_ref()));
    }
    rows.extend(group.lines.iter().map(|line| charge_row(Kind::Plain, TEXT, &line.label, line.working.as_deref(), &line.amount)));
    rows
}

/// How to pay, and a slip at the foot of the page to send along with a cheque, unless the amount is drawn anyway, or
/// another one is owed by now.
fn how_to_pay(composer: &mut Composer<'_>, bill: &BillWords, config: &Config) {
    let section = composer.part(None, Role::Section);
    heading(composer, Some(section), 2, &[run("How to pay", HEADING)]);
    if let Some(address) = &bill.pay_address {
        let runs = [
            run("Pay online by card or from your bank account at ", TEXT),
            run(address, STRONG),
            run(". Without signing in it takes this account number and your postcode.", TEXT),
        ];
        paragraph(composer, Some(section), &runs);
        composer.gap(3 * POINT);
    }
    paragraph(composer, Some(section), &[run(&bill.how_to_pay, TEXT)]);
    let drawn = bill.draw.as_ref().is_some_and(|draw| draw.will_be_drawn && bill.held.is_none());
    // What was asked for is not what is owed by now: then no slip says so.
    if drawn || bill.now.is_some() || !slip(composer, bill, config) {
        composer.gap(3 * POINT);
        paragraph(composer, Some(section), &[run("Your account number: ", TEXT), run(&bill.account, STRONG)]);
    }
}

/// The slip, at the foot of the page, where it is cut off; whether there was room for it. It is not worth a page of its own.
fn slip(composer: &mut Composer<'_>, bill: &BillWords, config: &Config) -> bool {
    let section = composer.part(None, Role::Section);
    let heading = composer.part(Some(section), Role::Heading(2, "Payment slip".to_owned()));
    let width = RIGHT_HALF - 2 * INSET;
    let mut left = composer.lines(&[run("Payment slip", HEADING)], MARGIN, width, Align::Left, Some(heading));
    for runs in
        [vec![run(format!("Please send this part along when you pay {} by cheque.", config.utility_name), SOFT)], vec![run(&bill.name, STRONG)]]
    {
        let part = composer.part(Some(section), Role::Paragraph);
        left.extend(composer.lines(&runs, MARGIN, width, Align::Left, Some(part)));
    }
    let facts = [
        ("Account", bill.account.clone()),
        ("Bill number", bill.number.clone()),
        ("Please pay by", wording::date(bill.due_on)),
        ("Amount due", bill.amount_due.clone()),
    ];
    let right = facts_lines(composer, Some(section), "Account, bill, due date and amount of this payment", &facts);
    let high = |lines: &[Line]| lines.iter().map(|line| line.height).sum::<i32>();
    let height = high(&left).max(high(&right)) + INSET;
    if composer.y + height + INSET > composer.sheet().bottom() {
        composer.withdraw(section);
        return false;
    }
    composer.y = composer.sheet().bottom() - height;
    composer.draw(Shape::Cut(MARGIN, composer.y, composer.sheet().measure()));
    composer.y += INSET;
    note_heading(composer, 2, "Payment slip".to_owned());
    composer.flow(&[left, right]);
    true
}

/// At the foot of each page: whose bill it is, and which page.
fn feet(composer: &mut Composer<'_>, bill: &BillWords, config: &Config) {
    let sheet = composer.sheet();
    let pages = composer.done.pages.len();
    let y = sheet.height - MARGIN + 2 * POINT;
    let pieces = |composer: &Composer<'_>, number: usize| -> Vec<Piece> {
        let counted = format!("Page {number} of {pages}");
        let told = format!("{} · Bill {} · Account {}", config.utility_name, bill.number, bill.account);
        let room = 90 * POINT;
        let left = composer.lines(&[run(told, FOOT)], MARGIN, sheet.measure() - room, Align::Left, None);
        let right = composer.lines(&[run(counted, FOOT)], MARGIN + sheet.measure() - room, room, Align::Right, None);
        left.into_iter().take(1).chain(right).flat_map(|line| line.pieces).collect()
    };
    for at in 0..pages {
        let pieces = pieces(composer, at + 1);
        if let Some(page) = composer.done.pages.get_mut(at) {
            page.shapes.push(Shape::Box(MARGIN, y - 12 * POINT, sheet.measure(), POINT / 2, Ink::Hair));
            page.pieces.extend(pieces.into_iter().map(|piece| (y, piece)));
        }
    }
}
