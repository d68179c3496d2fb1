//! Who may do what: five roles and what each of them is for.
//!
//! A customer sees what is theirs. Clerks work accounts, supervisors also decide about runs, auditors look at everything
//! and change nothing, administrators let people in and look, but move no money by themselves: they may approve what another
//! asks for, where the policy says so.

use std::fmt;
use std::str::FromStr;

/// What somebody signs in as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees and pays bills of their own accounts.
    Customer,
    /// Works accounts: payments, reads, adjustments, moves, work items.
    Clerk,
    /// A clerk who also starts, approves and takes back bill runs.
    Supervisor,
    /// Looks at everything, changes nothing.
    Auditor,
    /// Lets staff in and out.
    Administrator,
}

/// Something that not everybody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Look at any account, work item or run.
    LookAtAccounts,
    /// Take payments, enter reads, give adjustments, move people in and out, resolve work items.
    WorkAccounts,
    /// Start, approve, discard and take back bill runs.
    DecideRuns,
    /// Be the second person who approves a credit or a refund, where the policy lets the role.
    ApproveMoney,
    /// Read the audit trail.
    ReadAudit,
    /// Add, change and disable sign-ins of staff.
    ManageLogins,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [Self::Customer, Self::Clerk, Self::Supervisor, Self::Auditor, Self::Administrator];

    /// The name that tables use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Clerk => "clerk",
            Self::Supervisor => "supervisor",
            Self::Auditor => "auditor",
            Self::Administrator => "administrator",
        }
    }

    /// Whether this is somebody of the utility, who needs a second factor.
    #[must_use]
    pub fn is_staff(self) -> bool {
        self != Self::Customer
    }

    /// Whether the role may do it.
    #[must_use]
    pub fn may(self, permission: Permission) -> bool {
        use Permission::{ApproveMoney, DecideRuns, LookAtAccounts, ManageLogins, ReadAudit, WorkAccounts};
        match self {
            Self::Customer => false,
            Self::Clerk => matches!(permission, LookAtAccounts | WorkAccounts),
            Self::Supervisor => matches!(permission, LookAtAccounts | WorkAccounts | DecideRuns | ReadAudit | ApproveMoney),
            Self::Auditor => matches!(permission, LookAtAccounts | ReadAudit),
            Self::Administrator => matches!(permission, LookAtAccounts | ReadAudit | ManageLogins | ApproveMoney),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| format!("'{text}' is not a role: expected customer, clerk, supervisor, auditor or administrator"))
    }
}
