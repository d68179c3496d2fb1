//! Who reaches what: every route under every role, for what is one's own, another's, and nobody's.
//!
//! A new page adds its rows to [`TABLE`]: the test fails when a route of the application has none. A row has the answer
//! to each role in the order guest, customer, clerk, supervisor, auditor, administrator; for a customer's object there
//! is one row for each of own, another's and nobody's. `303` sends a guest to the sign-in.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

mod support;

use std::collections::BTreeSet;

use aquabills::actions::sign_in;
use aquabills::config::{ProviderSettings, Secret};
use aquabills::domain::roles::Role;
use support::http::{Browser, Served, encoded};
use support::{Town, on_both};

/// One request and what each role is answered.
struct Row {
    method: &'static str,
    /// As the application names it.
    route: &'static str,
    /// The address that is asked for; `{own}`, `{other}` and `{none}` stand for account numbers.
    path: &'static str,
    /// The form's fields beside the hidden token, which is always right.
    fields: &'static [(&'static str, &'static str)],
    /// Guest, customer, clerk, supervisor, auditor, administrator.
    answers: [u16; 6],
}

const fn get(route: &'static str, path: &'static str, answers: [u16; 6]) -> Row {
    Row { method: "GET", route, path, fields: &[], answers }
}

const fn post(route: &'static str, path: &'static str, fields: &'static [(&'static str, &'static str)], answers: [u16; 6]) -> Row {
    Row { method: "POST", route, path, fields, answers }
}

/// Everybody.
const ALL: [u16; 6] = [200; 6];
/// Guests, and whoever is signed in is sent on.
const GUESTS: [u16; 6] = [200, 303, 303, 303, 303, 303];
/// Whoever is signed in.
const SIGNED_IN: [u16; 6] = [303, 200, 200, 200, 200, 200];
/// Whoever is signed in, for a form that is refused for its content (it is filled in wrongly on purpose).
const SIGNED_IN_REFUSED: [u16; 6] = [303, 422, 422, 422, 422, 422];
/// Administrators.
const ADMINISTRATORS: [u16; 6] = [303, 403, 403, 403, 403, 200];
/// Administrators, for a form that is refused for its content.
const ADMINISTRATORS_REFUSED: [u16; 6] = [303, 403, 403, 403, 403, 422];

/// Somebody who is not there, so that nothing is changed.
const NOBODY: &[(&str, &str)] = &[("email", "nobody@utility.example")];

/// A customer's own, which staff may look at.
const OWN: [u16; 6] = SIGNED_IN;
/// Another customer's: as absent as what does not exist, but for staff.
const OTHERS: [u16; 6] = [303, 404, 200, 200, 200, 200];
/// What is not there for anybody.
const NOBODYS: [u16; 6] = [303, 404, 404, 404, 404, 404];
/// Forms that only customers send: another's, or nobody's, is absent.
const CUSTOMERS_GONE: [u16; 6] = [303, 404, 403, 403, 403, 403];

/// Staff looks at accounts, runs and what waits.
const LOOKING: [u16; 6] = [303, 403, 200, 200, 200, 200];
/// The same for what is not there.
const LOOKING_GONE: [u16; 6] = [303, 403, 404, 404, 404, 404];
/// Whoever reads the audit trail.
const AUDITING: [u16; 6] = [303, 403, 403, 200, 200, 200];
/// Whoever works accounts: a page, a form that is refused for its content, what is not there.
const WORKING: [u16; 6] = [303, 403, 200, 200, 403, 403];
const WORKING_REFUSED: [u16; 6] = [303, 403, 422, 422, 403, 403];
const WORKING_GONE: [u16; 6] = [303, 403, 404, 404, 403, 403];
/// Whoever decides about runs.
const DECIDING: [u16; 6] = [303, 403, 403, 200, 403, 403];
const DECIDING_REFUSED: [u16; 6] = [303, 403, 403, 422, 403, 403];
const DECIDING_GONE: [u16; 6] = [303, 403, 403, 404, 403, 403];

const TABLE: &[Row] = &[
    get("/metrics", "/metrics", ALL),
    get("/health", "/health", ALL),
    get("/", "/", GUESTS),
    get("/static/style.css", "/static/style.css", ALL),
    get("/static/icon.svg", "/static/icon.svg", ALL),
    // sign-in: a guest's form has a token of its own, so that others' sessions are of no use for it
    get("/sign-in", "/sign-in", GUESTS),
    post("/sign-in", "/sign-in", &[("email", "nobody@example.org"), ("password", "wrong")], [422, 403, 403, 403, 403, 403]),
    get("/sign-in/second-factor", "/sign-in/second-factor", [303; 6]),
    post("/sign-in/second-factor", "/sign-in/second-factor", &[("code", "000000")], [303; 6]),
    get("/sign-in/set-up-factor", "/sign-in/set-up-factor", [303, 200, 422, 422, 422, 422]),
    post("/sign-in/set-up-factor", "/sign-in/set-up-factor", &[("code", "x")], SIGNED_IN_REFUSED),
    get("/sign-in/link", "/sign-in/link", ALL),
    post("/sign-in/link", "/sign-in/link", &[("email", "nobody@example.org")], [200, 403, 403, 403, 403, 403]),
    get("/password/{token}", "/password/nobody-was-sent-this", [410; 6]),
    post("/password/{token}", "/password/nobody-was-sent-this", &[("password", "x"), ("repeated", "x")], [410, 403, 403, 403, 403, 403]),
    get("/profile/sign-in", "/profile/sign-in", SIGNED_IN),
    post("/profile/sign-in/password", "/profile/sign-in/password", &[("current", "x"), ("password", "x"), ("repeated", "y")], SIGNED_IN_REFUSED),
    post("/profile/sign-in/end", "/profile/sign-in/end", &[("session", "{others-session}")], [303, 404, 404, 404, 404, 404]),
    post("/profile/sign-in/drop-factor", "/profile/sign-in/drop-factor", &[("current", "x")], SIGNED_IN_REFUSED),
    get("/staff/logins", "/staff/logins", ADMINISTRATORS),
    post("/staff/logins", "/staff/logins", &[("email", "x"), ("name", "x"), ("role", "clerk")], ADMINISTRATORS_REFUSED),
    post("/staff/logins/disable", "/staff/logins/disable", NOBODY, ADMINISTRATORS_REFUSED),
    post("/staff/logins/enable", "/staff/logins/enable", NOBODY, ADMINISTRATORS_REFUSED),
    post("/staff/logins/reset-factor", "/staff/logins/reset-factor", NOBODY, ADMINISTRATORS_REFUSED),
    post("/staff/logins/link", "/staff/logins/link", NOBODY, ADMINISTRATORS_REFUSED),
    // customers
    get("/account", "/account", [303; 6]),
    get("/account/{number}", "/account/{own}", OWN),
    get("/account/{number}", "/account/{other}", OTHERS),
    get("/account/{number}", "/account/{none}", NOBODYS),
    get("/account/{number}/bills", "/account/{own}/bills", OWN),
    get("/account/{number}/bills", "/account/{other}/bills", OTHERS),
    get("/account/{number}/bills", "/account/{none}/bills", NOBODYS),
    get("/account/{number}/activity", "/account/{own}/activity", OWN),
    get("/account/{number}/activity", "/account/{other}/activity", OTHERS),
    get("/account/{number}/activity", "/account/{none}/activity", NOBODYS),
    get("/account/{number}/usage", "/account/{own}/usage", OWN),
    get("/account/{number}/usage", "/account/{other}/usage", OTHERS),
    get("/account/{number}/usage", "/account/{none}/usage", NOBODYS),
    get("/account/{number}/usage.csv", "/account/{own}/usage.csv", OWN),
    get("/account/{number}/usage.csv", "/account/{other}/usage.csv", OTHERS),
    get("/account/{number}/usage.csv", "/account/{none}/usage.csv", NOBODYS),
    get("/account/{number}/reading", "/account/{own}/reading", OWN),
    get("/account/{number}/reading", "/account/{other}/reading", OTHERS),
    get("/account/{number}/reading", "/account/{none}/reading", NOBODYS),
    post("/account/{number}/reading", "/account/{own}/reading", &[("reading", "x")], [303, 422, 403, 403, 403, 403]),
    post("/account/{number}/reading", "/account/{other}/reading", &[("reading", "x")], CUSTOMERS_GONE),
    post("/account/{number}/reading", "/account/{none}/reading", &[("reading", "x")], CUSTOMERS_GONE),
    get("/account/{number}/autopay", "/account/{own}/autopay", OWN),
    get("/account/{number}/autopay", "/account/{other}/autopay", OTHERS),
    get("/account/{number}/autopay", "/account/{none}/autopay", NOBODYS),
    post("/account/{number}/autopay", "/account/{own}/autopay", &[("limit", "x")], [303, 422, 403, 403, 403, 403]),
    post("/account/{number}/autopay", "/account/{other}/autopay", &[("limit", "x")], CUSTOMERS_GONE),
    post("/account/{number}/autopay", "/account/{none}/autopay", &[("limit", "x")], CUSTOMERS_GONE),
    post("/account/{number}/autopay/change", "/account/{own}/autopay/change", &[("what", "x")], [303, 422, 403, 403, 403, 403]),
    post("/account/{number}/autopay/change", "/account/{other}/autopay/change", &[("what", "x")], CUSTOMERS_GONE),
    post("/account/{number}/autopay/change", "/account/{none}/autopay/change", &[("what", "x")], CUSTOMERS_GONE),
    get("/bills/{number}.pdf", "/bills/00001-0000001.pdf", OWN),
    get("/bills/{number}.pdf", "/bills/00001-0000002.pdf", OTHERS),
    get("/bills/{number}.pdf", "/bills/00099-0000001.pdf", NOBODYS),
    get("/bills/{number}", "/bills/00001-0000001", OWN),
    get("/bills/{number}", "/bills/00001-0000002", OTHERS),
    get("/bills/{number}", "/bills/00099-0000001", NOBODYS),
    get("/bills/{number}/dispute", "/bills/00001-0000001/dispute", OWN),
    get("/bills/{number}/dispute", "/bills/00001-0000002/dispute", OTHERS),
    get("/bills/{number}/dispute", "/bills/00099-0000001/dispute", NOBODYS),
    post("/bills/{number}/dispute", "/bills/00001-0000001/dispute", &[("reason", "x")], [303, 422, 422, 422, 403, 403]),
    post("/bills/{number}/dispute", "/bills/00001-0000002/dispute", &[("reason", "x")], [303, 404, 422, 422, 403, 403]),
    post("/bills/{number}/dispute", "/bills/00099-0000001/dispute", &[("reason", "x")], [303, 404, 404, 404, 403, 403]),
    get("/profile", "/profile", [303, 200, 303, 303, 303, 303]),
    post("/profile", "/profile", &[("bill_ready", "on")], [303, 303, 404, 404, 404, 404]),
    // staff
    get("/staff", "/staff", LOOKING),
    get("/staff/search", "/staff/search?q=mill", LOOKING),
    get("/staff/todos", "/staff/todos", LOOKING),
    post("/staff/todos", "/staff/todos", &[("decision", "release")], WORKING_REFUSED),
    get("/staff/runs", "/staff/runs", LOOKING),
    get("/staff/runs/{id}", "/staff/runs/1", LOOKING),
    get("/staff/runs/{id}", "/staff/runs/99", LOOKING_GONE),
    get("/staff/runs/{id}/held", "/staff/runs/99/held", LOOKING_GONE),
    get("/staff/runs/{id}/excluded", "/staff/runs/99/excluded", LOOKING_GONE),
    get("/staff/runs/{id}/bills", "/staff/runs/99/bills", LOOKING_GONE),
    get("/staff/run", "/staff/run", DECIDING),
    post("/staff/run", "/staff/run", &[("cycle", "no such cycle")], DECIDING_REFUSED),
    post("/staff/runs/{id}/approve", "/staff/runs/99/approve", &[], DECIDING_GONE),
    post("/staff/runs/{id}/discard", "/staff/runs/99/discard", &[], DECIDING_GONE),
    post("/staff/runs/{id}/resume", "/staff/runs/99/resume", &[], DECIDING_GONE),
    get("/staff/runs/{id}/rollback", "/staff/runs/99/rollback", DECIDING_GONE),
    post("/staff/runs/{id}/rollback", "/staff/runs/99/rollback", &[("reason", "x")], DECIDING_GONE),
    get("/staff/reconciliation", "/staff/reconciliation", LOOKING),
    get("/staff/reconciliation.csv", "/staff/reconciliation.csv", LOOKING),
    post("/staff/reconciliation", "/staff/reconciliation", &[("action", "x")], DECIDING_REFUSED),
    get("/staff/overcharges", "/staff/overcharges", LOOKING),
    post("/staff/overcharges", "/staff/overcharges", &[], [303, 403, 403, 303, 403, 403]),
    get("/staff/overcharges/{case}", "/staff/overcharges/99", LOOKING_GONE),
    post("/staff/overcharges/{case}/dismiss", "/staff/overcharges/99/dismiss", &[("note", "x")], DECIDING_GONE),
    get("/staff/bank", "/staff/bank", LOOKING),
    get("/staff/bank/files/{id}", "/staff/bank/files/99", LOOKING_GONE),
    get("/staff/bank/movements/{id}", "/staff/bank/movements/99", LOOKING_GONE),
    // A form without a file is none; whoever may not send one is told so before it is looked at.
    post("/staff/bank/files", "/staff/bank/files", &[("format", "bai2")], WORKING_REFUSED),
    post("/staff/bank/movements/{id}", "/staff/bank/movements/99", &[("decision", "undo"), ("note", "x")], WORKING_GONE),
    post("/staff/bank/credits/{id}", "/staff/bank/credits/99", &[("decision", "unknown")], WORKING_REFUSED),
    get("/staff/payouts", "/staff/payouts", LOOKING),
    get("/staff/payouts/{id}", "/staff/payouts/99", LOOKING_GONE),
    get("/staff/payouts/{id}/file.txt", "/staff/payouts/99/file.txt", WORKING_GONE),
    post("/staff/payouts/{id}/void", "/staff/payouts/99/void", &[("note", "x")], WORKING_GONE),
    get("/staff/notices", "/staff/notices", LOOKING),
    get("/staff/notices/{id}", "/staff/notices/0", LOOKING_GONE),
    get("/staff/watch", "/staff/watch", LOOKING),
    get("/staff/payments/{id}/trace", "/staff/payments/99/trace", LOOKING_GONE),
    get("/staff/payments/{id}/events/{event}", "/staff/payments/99/events/1", [303, 403, 403, 404, 404, 404]),
    get("/staff/schedule", "/staff/schedule", LOOKING),
    get("/staff/audit", "/staff/audit", AUDITING),
    get("/staff/accounts/{number}", "/staff/accounts/{own}", LOOKING),
    get("/staff/accounts/{number}", "/staff/accounts/{none}", LOOKING_GONE),
    get("/staff/accounts/{number}/bills", "/staff/accounts/{own}/bills", LOOKING),
    get("/staff/accounts/{number}/bills", "/staff/accounts/{none}/bills", LOOKING_GONE),
    get("/staff/accounts/{number}/services", "/staff/accounts/{own}/services", LOOKING),
    get("/staff/accounts/{number}/services", "/staff/accounts/{none}/services", LOOKING_GONE),
    get("/staff/accounts/{number}/reads", "/staff/accounts/{own}/reads", LOOKING),
    get("/staff/accounts/{number}/reads", "/staff/accounts/{none}/reads", LOOKING_GONE),
    get("/staff/accounts/{number}/notices", "/staff/accounts/{own}/notices", LOOKING),
    get("/staff/accounts/{number}/notices", "/staff/accounts/{none}/notices", LOOKING_GONE),
    get("/staff/accounts/{number}/autopay", "/staff/accounts/{own}/autopay", LOOKING),
    get("/staff/accounts/{number}/autopay", "/staff/accounts/{none}/autopay", LOOKING_GONE),
    post("/staff/accounts/{number}/autopay", "/staff/accounts/{own}/autopay", &[("what", "x")], WORKING_REFUSED),
    post("/staff/accounts/{number}/autopay", "/staff/accounts/{none}/autopay", &[("what", "x")], WORKING_GONE),
    get("/staff/accounts/{number}/refunds", "/staff/accounts/{own}/refunds", LOOKING),
    get("/staff/accounts/{number}/refunds", "/staff/accounts/{none}/refunds", LOOKING_GONE),
    get("/staff/accounts/{number}/payments/{seq}/refund", "/staff/accounts/{own}/payments/9/refund", WORKING_GONE),
    post("/staff/accounts/{number}/payments/{seq}/refund", "/staff/accounts/{own}/payments/9/refund", &[], WORKING_GONE),
    get("/staff/accounts/{number}/payouts/{reference}", "/staff/accounts/{own}/payouts/P-9", WORKING_GONE),
    post("/staff/accounts/{number}/payouts/{reference}", "/staff/accounts/{own}/payouts/P-9", &[], WORKING_GONE),
    get("/staff/bills/{number}/hold", "/staff/bills/00001-0000001/hold", WORKING),
    post("/staff/bills/{number}/hold", "/staff/bills/00001-0000001/hold", &[("what", "x")], WORKING_REFUSED),
    get("/staff/bills/{number}/hold", "/staff/bills/00099-0000001/hold", WORKING_GONE),
    post("/staff/bills/{number}/hold", "/staff/bills/00099-0000001/hold", &[("what", "x")], WORKING_GONE),
    get("/staff/bills/{number}/rebill", "/staff/bills/00001-0000001/rebill", WORKING),
    post("/staff/bills/{number}/rebill", "/staff/bills/00001-0000001/rebill", &[("what", "x"), ("key", "k")], WORKING_REFUSED),
    get("/staff/bills/{number}/rebill", "/staff/bills/00099-0000001/rebill", WORKING_GONE),
    post("/staff/bills/{number}/rebill", "/staff/bills/00099-0000001/rebill", &[("what", "x"), ("key", "k")], WORKING_GONE),
    get("/staff/runs/{id}/rebill", "/staff/runs/99/rebill", DECIDING_GONE),
    post("/staff/runs/{id}/rebill", "/staff/runs/99/rebill", &[("reason", "x"), ("key", "k")], DECIDING_GONE),
    get("/staff/overcharges/{id}/mend", "/staff/overcharges/99/mend", DECIDING_GONE),
    post("/staff/overcharges/{id}/mend", "/staff/overcharges/99/mend", &[("sure", "yes")], DECIDING_GONE),
    get("/staff/rebills/{id}", "/staff/rebills/99", LOOKING_GONE),
    post("/staff/rebills/{id}/resume", "/staff/rebills/99/resume", &[], WORKING_GONE),
    get("/staff/accounts/{number}/collections", "/staff/accounts/{own}/collections", LOOKING),
    get("/staff/accounts/{number}/collections", "/staff/accounts/{none}/collections", LOOKING_GONE),
    get("/staff/accounts/{number}/collections/{verb}", "/staff/accounts/{own}/collections/plan", WORKING),
    get("/staff/accounts/{number}/collections/{verb}", "/staff/accounts/{none}/collections/plan", WORKING_GONE),
    get("/staff/accounts/{number}/collections/{verb}", "/staff/accounts/{own}/collections/nonsense", WORKING_GONE),
    post("/staff/accounts/{number}/collections/{verb}", "/staff/accounts/{own}/collections/plan", &[("first", "x")], WORKING_REFUSED),
    post("/staff/accounts/{number}/collections/{verb}", "/staff/accounts/{none}/collections/plan", &[("first", "x")], WORKING_GONE),
    get("/staff/disputes/{id}", "/staff/disputes/99", LOOKING_GONE),
    post("/staff/disputes/{id}", "/staff/disputes/99", &[("answer", "x")], WORKING_GONE),
    get("/staff/accounts/{number}/trail", "/staff/accounts/{own}/trail", AUDITING),
    get("/staff/accounts/{number}/trail", "/staff/accounts/{none}/trail", [303, 403, 403, 404, 404, 404]),
    get("/staff/accounts/{number}/payment", "/staff/accounts/{own}/payment", WORKING),
    get("/staff/accounts/{number}/payment", "/staff/accounts/{none}/payment", WORKING_GONE),
    post("/staff/accounts/{number}/payment", "/staff/accounts/{own}/payment", &[("amount", "x")], WORKING_REFUSED),
    post("/staff/accounts/{number}/payment", "/staff/accounts/{none}/payment", &[("amount", "x")], WORKING_GONE),
    get("/staff/accounts/{number}/adjustment", "/staff/accounts/{own}/adjustment", WORKING),
    get("/staff/accounts/{number}/adjustment", "/staff/accounts/{none}/adjustment", WORKING_GONE),
    post("/staff/accounts/{number}/adjustment", "/staff/accounts/{own}/adjustment", &[("amount", "x")], WORKING_REFUSED),
    post("/staff/accounts/{number}/adjustment", "/staff/accounts/{none}/adjustment", &[("amount", "x")], WORKING_GONE),
    get("/staff/approvals", "/staff/approvals", LOOKING),
    get("/staff/approvals/{id}", "/staff/approvals/99", LOOKING_GONE),
    // Clerks send it to withdraw what they asked for; who may approve is decided request by request.
    post("/staff/approvals/{id}", "/staff/approvals/99", &[("decision", "approve")], [303, 403, 404, 404, 403, 404]),
    get("/staff/accounts/{number}/adjustments/{seq}/undo", "/staff/accounts/{own}/adjustments/99/undo", WORKING_GONE),
    post("/staff/accounts/{number}/adjustments/{seq}/undo", "/staff/accounts/{own}/adjustments/99/undo", &[("note", "x")], WORKING_GONE),
    get("/staff/accounts/{number}/read", "/staff/accounts/{own}/read", WORKING),
    get("/staff/accounts/{number}/read", "/staff/accounts/{none}/read", WORKING_GONE),
    post("/staff/accounts/{number}/read", "/staff/accounts/{own}/read", &[("amount", "x")], WORKING_REFUSED),
    post("/staff/accounts/{number}/read", "/staff/accounts/{none}/read", &[("amount", "x")], WORKING_GONE),
    get("/staff/accounts/{number}/payments/{seq}", "/staff/accounts/{own}/payments/9", LOOKING_GONE),
    get("/staff/accounts/{number}/payments/{seq}/return", "/staff/accounts/{own}/payments/9/return", WORKING_GONE),
    post("/staff/accounts/{number}/payments/{seq}/return", "/staff/accounts/{own}/payments/9/return", &[], WORKING_GONE),
    // services and balances: the life of an account
    get("/staff/services/{code}", "/staff/services/S1", LOOKING),
    get("/staff/services/{code}", "/staff/services/Z9", LOOKING_GONE),
    get("/staff/services/{code}/move-out", "/staff/services/S1/move-out", WORKING),
    post("/staff/services/{code}/move-out", "/staff/services/S1/move-out", &[("on", "x")], WORKING_REFUSED),
    get("/staff/services/{code}/move-out", "/staff/services/Z9/move-out", WORKING_GONE),
    post("/staff/services/{code}/move-out", "/staff/services/Z9/move-out", &[("on", "x")], WORKING_GONE),
    get("/staff/services/{code}/move-in", "/staff/services/S1/move-in", WORKING),
    post("/staff/services/{code}/move-in", "/staff/services/S1/move-in", &[("on", "x")], WORKING_REFUSED),
    get("/staff/services/{code}/move-in", "/staff/services/Z9/move-in", WORKING_GONE),
    post("/staff/services/{code}/move-in", "/staff/services/Z9/move-in", &[("on", "x")], WORKING_GONE),
    get("/staff/services/{code}/terms", "/staff/services/S1/terms", WORKING),
    post("/staff/services/{code}/terms", "/staff/services/S1/terms", &[("effective_on", "x")], WORKING_REFUSED),
    get("/staff/services/{code}/terms", "/staff/services/Z9/terms", WORKING_GONE),
    post("/staff/services/{code}/terms", "/staff/services/Z9/terms", &[("effective_on", "x")], WORKING_GONE),
    get("/staff/services/{code}/exchange", "/staff/services/S1/exchange", WORKING),
    post("/staff/services/{code}/exchange", "/staff/services/S1/exchange", &[("exchanged_on", "x")], WORKING_REFUSED),
    get("/staff/services/{code}/exchange", "/staff/services/Z9/exchange", WORKING_GONE),
    post("/staff/services/{code}/exchange", "/staff/services/Z9/exchange", &[("exchanged_on", "x")], WORKING_GONE),
    get("/staff/services/{code}/owner", "/staff/services/S1/owner", WORKING),
    post("/staff/services/{code}/owner", "/staff/services/S1/owner", &[("owner", "nobody")], WORKING_REFUSED),
    get("/staff/services/{code}/owner", "/staff/services/Z9/owner", WORKING_GONE),
    post("/staff/services/{code}/owner", "/staff/services/Z9/owner", &[("owner", "nobody")], WORKING_GONE),
    get("/staff/accounts/{number}/refund", "/staff/accounts/{own}/refund", WORKING),
    post("/staff/accounts/{number}/refund", "/staff/accounts/{own}/refund", &[("amount", "x")], WORKING_REFUSED),
    get("/staff/accounts/{number}/refund", "/staff/accounts/{none}/refund", WORKING_GONE),
    post("/staff/accounts/{number}/refund", "/staff/accounts/{none}/refund", &[("amount", "x")], WORKING_GONE),
    get("/staff/accounts/{number}/transfer", "/staff/accounts/{own}/transfer", WORKING),
    post("/staff/accounts/{number}/transfer", "/staff/accounts/{own}/transfer", &[("to", "x")], WORKING_REFUSED),
    get("/staff/accounts/{number}/transfer", "/staff/accounts/{none}/transfer", WORKING_GONE),
    post("/staff/accounts/{number}/transfer", "/staff/accounts/{none}/transfer", &[("to", "x")], WORKING_GONE),
    get("/staff/accounts/{number}/final-bill", "/staff/accounts/{own}/final-bill", WORKING),
    post("/staff/accounts/{number}/final-bill", "/staff/accounts/{own}/final-bill", &[("through", "x")], WORKING_REFUSED),
    get("/staff/accounts/{number}/final-bill", "/staff/accounts/{none}/final-bill", WORKING_GONE),
    post("/staff/accounts/{number}/final-bill", "/staff/accounts/{none}/final-bill", &[("through", "x")], WORKING_GONE),
    // paying online: a guest's form has a token of its own
    get("/pay", "/pay", [303, 200, 303, 303, 303, 303]),
    get("/pay", "/pay?account={own}", [303, 200, 303, 303, 303, 303]),
    get("/pay", "/pay?account={other}", [303, 404, 303, 303, 303, 303]),
    get("/pay", "/pay?account={none}", [303, 404, 303, 303, 303, 303]),
    post("/pay", "/pay", &[("account-1", "{own}"), ("pay-1", "yes"), ("amount-1", "x")], [303, 422, 403, 403, 403, 403]),
    post("/pay", "/pay", &[("account-1", "{other}"), ("pay-1", "yes"), ("amount-1", "1")], CUSTOMERS_GONE),
    get("/pay/guest", "/pay/guest", ALL),
    post("/pay/guest", "/pay/guest", &[("number", "{none}"), ("postcode", "95000")], [422, 403, 403, 403, 403, 403]),
    post("/pay/guest/amount", "/pay/guest/amount", &[("number", "{none}"), ("postcode", "95000"), ("amount", "1")], [422, 403, 403, 403, 403, 403]),
    get("/pay/{token}", "/pay/nobody-began-this", [404; 6]),
    post("/pay/{token}", "/pay/nobody-began-this", &[], [404, 403, 403, 403, 403, 403]),
    get("/pay/{token}/provider", "/pay/nobody-began-this/provider", [404; 6]),
    post("/callbacks/{provider}", "/callbacks/stripe", &[], [400; 6]),
    // last, because the sessions end with them
    post("/profile/sign-in/end-all", "/profile/sign-in/end-all", &[], [303; 6]),
    post("/sign-out", "/sign-out", &[], [303; 6]),
];

/// Guest, the customer who owns `{own}`, and the utility's people, in the order of a row's answers.
fn people(served: &Served) -> Vec<(&'static str, Browser)> {
    vec![
        ("guest", served.browser()),
        ("customer", served.customer("ada@example.org")),
        ("clerk", served.staff(Role::Clerk)),
        ("supervisor", served.staff(Role::Supervisor)),
        ("auditor", served.staff(Role::Auditor)),
        ("administrator", served.staff(Role::Administrator)),
    ]
}

/// A right hidden token: the session's, or the guest's own.
fn token(browser: &mut Browser) -> String {
    let place = if browser.cookies.contains_key("aquabills") { "/profile/sign-in" } else { "/sign-in" };
    browser.get(place).csrf("")
}

fn request(row: &Row, browser: &mut Browser, others_session: &str) -> u16 {
    let filled = |text: &str| {
        let names = [("{own}", "A1"), ("{other}", "B1"), ("{none}", "Z9"), ("{others-session}", others_session)];
        names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    };
    let path = filled(row.path);
    if row.method == "GET" {
        return browser.get(&path).status;
    }
    let csrf = token(browser);
    let fields: Vec<(&str, String)> = row.fields.iter().map(|(name, value)| (*name, filled(value))).collect();
    let mut pairs: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    pairs.push(("csrf", &csrf));
    browser.post(&path, &encoded(&pairs)).status
}

/// A town with an account of Ada's and one of Bob's.
fn serve(town: &mut Town) -> Served {
    town.tariff(support::TARIFF).expect("the tariff is accepted");
    let services = "customer_id,service_id,rate_class,meter_id,register_digits,name,email\n\
                    A1,S1,HOME,M1,4,Ada Lovelace,ada@example.org\nB1,S2,HOME,M2,4,Bob Babbage,bob@example.org\n";
    assert_eq!(town.services(services).expect("the services are read").refused, 0);
    town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,115", "M2,2026-01-01,0", "M2,2026-02-01,10"]);
    town.bill("2026-02-01");
    // It is never called: every form here is refused before that.
    let settings = ProviderSettings {
        merchant: "acct_test".to_owned(),
        base_url: "http://127.0.0.1:9".to_owned(),
        secret_key: Some(Secret::new("sk_test")),
        webhook_secrets: vec![Secret::new("whsec_test")],
        ..ProviderSettings::default()
    };
    town.context.providers = aquabills::providers::open(&[settings]);
    Served::new(town)
}

on_both! {
    fn every_route_answers_every_role_as_the_table_says(town: Town) {
        let mut town = town;
        let served = serve(&mut town);
        let bob = served.customer("bob@example.org");
        let bobs_session = sign_in::token_hash(&bob.cookies["aquabills"]);
        let mut wrong = Vec::new();
        for (at, (who, mut browser)) in people(&served).into_iter().enumerate() {
            for row in TABLE {
                let status = request(row, &mut browser, &bobs_session);
                if status != row.answers[at] {
                    wrong.push(format!("{} {} as {who}: {status}, expected {}", row.method, row.path, row.answers[at]));
                }
            }
        }
        assert!(wrong.is_empty(), "{} unexpected answers:\n{}", wrong.len(), wrong.join("\n"));
        assert!(bob.clone().is_signed_in(), "another's session is untouched");
    }
}

on_both! {
    fn whoever_asks_for_the_head_of_a_page_gets_just_that(town: Town) {
        let mut town = town;
        let served = serve(&mut town);
        let mut ada = served.customer("ada@example.org");
        for path in ["/health", "/sign-in", "/account/A1", "/bills/00001-0000001", "/account/B1", "/nowhere"] {
            let (page, head) = (ada.get(path), ada.send("HEAD", path, ""));
            assert_eq!((head.status, head.body.as_str()), (page.status, ""), "{path}");
            assert_eq!(head.header("content-type"), page.header("content-type"), "{path}");
        }
        assert_eq!(served.browser().send("HEAD", "/account/A1", "").location(), "/sign-in?next=/account/A1");
    }
}

#[test]
fn every_route_has_a_row() {
    let named: BTreeSet<(&str, &str)> = TABLE.iter().map(|row| (row.method, row.route)).collect();
    let routes = aquabills::web::routes();
    let there: BTreeSet<(&str, &str)> = routes.iter().map(|(method, path)| (method.as_str(), *path)).collect();
    let missing: Vec<_> = there.difference(&named).collect();
    assert!(missing.is_empty(), "these routes need a row in TABLE: {missing:#?}");
    let gone: Vec<_> = named.difference(&there).collect();
    assert!(gone.is_empty(), "these rows are of no route: {gone:#?}");
    assert_eq!(routes.len(), there.len(), "a route is there twice: the second is never reached");
}
