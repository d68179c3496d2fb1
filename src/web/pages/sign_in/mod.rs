//! Signing in and out, passwords, second factors, and the people of the utility.

use crate::web::routes::Routes;

/// The routes of this area.
pub(in crate::web) fn routes(_routes: &mut Routes) {}
