//! Who looks at a page: the contract between the sign-in and every page.
//!
//! A handler that takes a [`Viewer`] is reached by signed-in people only; what they may see it asks of the viewer. One
//! that takes a [`MaybeViewer`] is reached by anybody. A [`HalfViewer`] gave the password, but perhaps no second factor.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};

use super::error::PageError;
use crate::actions::sign_in::{self, SignedIn, Stage};
use crate::actions::{ActionError, Context, alarms};
use crate::db::alarms::AlarmRow;
use crate::domain::ids::{LoginId, PersonId};
use crate::domain::roles::{Permission, Role};
use crate::telemetry::scope::carry;

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
    /// The session's key in the table, to tell this session from the others.
    pub session: String,
    /// What is wrong just now: for staff.
    pub alarms: Arc<Vec<AlarmRow>>,
}

impl Viewer {
    /// Whether the viewer may do it.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.role.may(permission)
    }

    /// Goes on only when the viewer may do it: `viewer.must(Permission::DecideRuns)?`.
    ///
    /// # Errors
    /// [`PageError::NotAllowed`].
    pub fn must(&self, permission: Permission) -> Result<(), PageError> {
        if self.may(permission) { Ok(()) } else { Err(PageError::NotAllowed) }
    }

    /// Whether this is somebody of the utility.
    #[must_use]
    pub fn is_staff(&self) -> bool {
        self.role.is_staff()
    }

    /// The context with the viewer as the one who acts, for the audit trail.
    #[must_use]
    pub fn acting(&self, context: &Context) -> Context {
        Context { actor: self.email.clone(), ..context.clone() }
    }

    fn new(signed_in: &SignedIn, csrf: String) -> Self {
        let login = &signed_in.login;
        Self {
            login_id: login.id,
            name: login.name.clone(),
            email: login.email.clone(),
            role: signed_in.role,
            person_id: login.person_id,
            csrf,
            session: signed_in.session.clone(),
            alarms: Arc::default(),
        }
    }
}

/// The viewer when somebody is signed in: for pages that anybody may see.
#[derive(Debug, Clone)]
pub struct MaybeViewer(pub Option<Viewer>);

/// Somebody who gave the password: what is still to be done says the stage.
#[derive(Debug, Clone)]
pub struct HalfViewer {
    /// Who it will be.
    pub viewer: Viewer,
    /// How far the sign-in got.
    pub stage: Stage,
}

/// Whose form it is: what [`super::form::CheckedForm`] checks the hidden token against.
pub trait FormOwner: FromRequest<Error = PageError> {
    /// The hidden token that the form must carry.
    fn csrf(&self) -> &str;
}

impl FormOwner for Viewer {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

impl FormOwner for HalfViewer {
    fn csrf(&self) -> &str {
        &self.viewer.csrf
    }
}

/// What an extractor gives back.
pub(super) type Extracting<T> = Pin<Box<dyn Future<Output = Result<T, PageError>>>>;

impl FromRequest for HalfViewer {
    type Error = PageError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { signed_in(&request).await?.ok_or_else(|| not_signed_in(&request)) })
    }
}

impl FromRequest for Viewer {
    type Error = PageError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let half = signed_in(&request).await?.ok_or_else(|| not_signed_in(&request))?;
            match half.stage {
                Stage::Full => Ok(half.viewer),
                Stage::NeedsFactor => Err(PageError::NeedsFactor { next: next_page(&request) }),
                Stage::NeedsSetUp => Err(PageError::NeedsSetUp { next: next_page(&request) }),
            }
        })
    }
}

impl FromRequest for MaybeViewer {
    type Error = PageError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let full = signed_in(&request).await?.filter(|half| half.stage == Stage::Full);
            Ok(Self(full.map(|half| half.viewer)))
        })
    }
}

/// The cookie that holds the session's token. The prefix makes browsers take it from this very host by TLS only.
pub(super) fn session_cookie(context: &Context) -> &'static str {
    if context.config.sign_in.secure_cookies { "__Host-aquabills" } else { "aquabills" }
}

/// Looks the request's session up once; what was found stays with the request.
async fn signed_in(request: &HttpRequest) -> Result<Option<HalfViewer>, PageError> {
    if let Some(known) = request.extensions().get::<Option<HalfViewer>>() {
        return Ok(known.clone());
    }
    let context = context_of(request)?;
    let token = request.cookie(session_cookie(&context)).map(|cookie| cookie.value().to_owned());
    let found = match token {
        None => None,
        Some(token) => {
            let csrf = sign_in::csrf_token(&token);
            web::block(carry(move || look_up(&context, &token, csrf))).await.map_err(PageError::internal)??
        }
    };
    request.extensions_mut().insert(found.clone());
    Ok(found)
}

/// The session behind a token, and for staff what is wrong just now.
fn look_up(context: &Context, token: &str, csrf: String) -> Result<Option<HalfViewer>, ActionError> {
    let Some(session) = sign_in::current_session(context, token)? else { return Ok(None) };
    let mut viewer = Viewer::new(&session, csrf);
    if viewer.is_staff() && session.stage == Stage::Full {
        viewer.alarms = Arc::new(alarms::open(context)?);
    }
    Ok(Some(HalfViewer { viewer, stage: session.stage }))
}

/// The viewer that was looked up for this request already: for the header of error pages.
pub(super) fn known_viewer(request: &HttpRequest) -> Option<Viewer> {
    let half = request.extensions().get::<Option<HalfViewer>>().cloned().flatten()?;
    (half.stage == Stage::Full).then_some(half.viewer)
}

/// What every handler has: the database, the settings, the clock.
pub(super) fn context_of(request: &HttpRequest) -> Result<Context, PageError> {
    let data = request.app_data::<web::Data<Context>>();
    data.map(|context| context.get_ref().clone()).ok_or_else(|| PageError::internal("the application has no context"))
}

fn not_signed_in(request: &HttpRequest) -> PageError {
    PageError::NotSignedIn { next: next_page(request) }
}

/// Where to go on after the sign-in: the page that was asked for. A form that was sent is lost; its page is not known.
fn next_page(request: &HttpRequest) -> Option<String> {
    let asked = request.uri().path_and_query().map(ToString::to_string)?;
    (matches!(*request.method(), Method::GET | Method::HEAD) && asked != "/").then_some(asked)
}
