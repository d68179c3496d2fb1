//! How the domain's newtypes travel to and from SQL: one generic implementation for all of them.

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromStaticSqlRow, Queryable};
use diesel::expression::AsExpression;
use diesel::internal::derives::as_expression::Bound;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::{BigInt, Nullable, SingleValue};

use crate::domain::ids::{
    AccountId, AdjustmentId, AgreementId, AlarmId, ApprovalId, BankEntryId, BankFileId, CaseId, CheckoutId, DepositId, DisputeId, DrawId,
    DunningCaseId, FindingId, InstallationId, LateFeeId, LeakReliefId, LoginId, MandateId, MeterId, NoticeId, PayPlanId, PaymentId, PersonId,
    PremiseId, ProviderEventId, ProviderPaymentId, ReadId, RebillId, RefundBatchId, RefundId, RegisterId, RunId, ServicePointId, TariffVersionId,
    ToDoId, TransactionId, UnappliedCreditId,
};

/// Makes tuple structs over `i64` columns of type `BigInt`.
macro_rules! big_int_columns {
    ($($name:ident),+ $(,)?) => {$(
        impl<DB: Backend> ToSql<BigInt, DB> for $name where i64: ToSql<BigInt, DB> {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
                self.0.to_sql(out)
            }
        }
        impl<DB: Backend> FromSql<BigInt, DB> for $name where i64: FromSql<BigInt, DB> {
            fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
                i64::from_sql(bytes).map($name)
            }
        }
        impl<ST: SingleValue, DB: Backend> Queryable<ST, DB> for $name where Self: FromStaticSqlRow<ST, DB> {
            type Row = Self;
            fn build(row: Self) -> deserialize::Result<Self> {
                Ok(row)
            }
        }
        big_int_columns!(@expression $name, BigInt);
        big_int_columns!(@expression $name, Nullable<BigInt>);
        impl<DB: Backend> ToSql<Nullable<BigInt>, DB> for $name where Self: ToSql<BigInt, DB> {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
                ToSql::<BigInt, DB>::to_sql(self, out)
            }
        }
    )+};
    (@expression $name:ident, $sql:ty) => {
        impl AsExpression<$sql> for $name {
            type Expression = Bound<$sql, Self>;
            fn as_expression(self) -> Self::Expression {
                Bound::new(self)
            }
        }
        impl<'a> AsExpression<$sql> for &'a $name {
            type Expression = Bound<$sql, &'a $name>;
            fn as_expression(self) -> Self::Expression {
                Bound::new(self)
            }
        }
    };
}

big_int_columns!(
    AccountId,
    AgreementId,
    InstallationId,
    MeterId,
    PaymentId,
    PersonId,
    PremiseId,
    ReadId,
    RebillId,
    RegisterId,
    RunId,
    ServicePointId,
    TariffVersionId,
    ToDoId,
    TransactionId,
    LoginId,
    NoticeId,
    CheckoutId,
    ProviderPaymentId,
    ProviderEventId,
    RefundId,
    UnappliedCreditId,
    BankFileId,
    BankEntryId,
    MandateId,
    DrawId,
    AlarmId,
    CaseId,
    FindingId,
    ApprovalId,
    AdjustmentId,
    RefundBatchId,
    DisputeId,
    LateFeeId,
    DunningCaseId,
    PayPlanId,
    DepositId,
    LeakReliefId,
);
