//! Who looks at a page: the contract between the sign-in and every page.
//!
//! A handler that takes a [`Viewer`] is reached by signed-in people only; what they may see it asks of the viewer.

use crate::actions::Context;
use crate::domain::ids::{LoginId, PersonId};
use crate::domain::roles::{Permission, Role};

/// The signed-in person behind a request.
#[derive(Debug, Clone)]
pub struct Viewer {
    /// The sign-in.
    pub login_id: LoginId,
    /// The name to greet.
    pub name: String,
    /// The address that they sign in with.
    pub email: String,
    /// What they signed in as.
    pub role: Role,
    /// The person whose accounts are theirs: a customer's.
    pub person_id: Option<PersonId>,
    /// The hidden token that every form of this session carries.
    pub csrf: String,
}

impl Viewer {
    /// Whether the viewer may do it.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.role.may(permission)
    }

    /// The context with the viewer as the one who acts, for the audit trail.
    #[must_use]
    pub fn acting(&self, context: &Context) -> Context {
        Context { actor: self.email.clone(), ..context.clone() }
    }
}
