//! Row identities as types of their own, so that an account is never mistaken for an agreement.

/// Declares identity types over `i64`.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

ids! {
    /// A customer's account.
    AccountId,
    /// A person or firm.
    PersonId,
    /// A place that is served.
    PremiseId,
    /// Where a service is delivered and metered.
    ServicePointId,
    /// An account's contract for one service at one service point, over dates.
    AgreementId,
    /// A meter.
    MeterId,
    /// One counter of a meter.
    RegisterId,
    /// A meter at a service point, over dates.
    InstallationId,
    /// One read of one register.
    ReadId,
    /// One version of a tariff.
    TariffVersionId,
    /// A bill run.
    RunId,
    /// A financial transaction.
    TransactionId,
    /// A payment.
    PaymentId,
    /// A work item for a clerk.
    ToDoId,
    /// A sign-in: what a person or a member of staff signs in with.
    LoginId,
    /// A notice in the outbox.
    NoticeId,
    /// A customer's attempt to pay online, or to save a way to pay.
    CheckoutId,
    /// A payment as a provider knows it.
    ProviderPaymentId,
    /// An event in the inbox.
    ProviderEventId,
    /// Money given back.
    RefundId,
    /// Money that fits no account.
    UnappliedCreditId,
    /// A file from a bank.
    BankFileId,
    /// A movement on the utility's account with a bank.
    BankEntryId,
    /// A permission to draw what is due.
    MandateId,
    /// One draw of such a permission.
    DrawId,
    /// An alarm.
    AlarmId,
    /// A request to cancel bills, or to bill them anew.
    RebillId,
    /// Findings of one cause.
    CaseId,
    /// One difference between what was billed and what should have been.
    FindingId,
    /// What somebody asked another person to approve.
    ApprovalId,
    /// A credit or a charge.
    AdjustmentId,
    /// A file of payouts or cheques.
    RefundBatchId,
    /// A customer's question about a bill.
    DisputeId,
    /// A fee for paying late.
    LateFeeId,
    /// A row of reminders.
    DunningCaseId,
    /// A plan to pay by instalments.
    PayPlanId,
    /// Money that secures what an account will owe.
    DepositId,
    /// Relief after a leak.
    LeakReliefId,
}
