//! What a page says to a person about each problem. The log speaks to the operator.

use super::Way;
use crate::frontend::Endpoint;
use crate::guard::csrf;
use crate::problem::{LoginFailure, Problem};

/// One page, in whole sentences.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) heading: &'static str,
    /// Paragraphs.
    pub(super) text: Vec<String>,
    /// The most useful first.
    pub(super) ways: &'static [Way],
    /// For whoever is asked for help.
    pub(super) detail: Option<String>,
}

const HOME: &[Way] = &[Way::Home];
const AGAIN: &[Way] = &[Way::TryAgain, Way::Home];
const SIGN_IN: &[Way] = &[Way::SignIn("Sign in"), Way::Home];
const SIGN_IN_AGAIN: &[Way] = &[Way::SignIn("Sign in again"), Way::Home];

/// What to say of `problem` to somebody who asked for `endpoint`.
pub(super) fn of(problem: &Problem, endpoint: Option<Endpoint>) -> Words {
    let (heading, text, ways) = match problem {
        Problem::LoginFailed(failure) => failed(*failure),
        Problem::RateLimited { retry_after } => return wait(*retry_after),
        Problem::BadRequest(_)
            if matches!(endpoint, Some(Endpoint::Logout | Endpoint::LogoutByScript)) =>
        {
            (
                "This sign-out link does not fit",
                "Either you are signed out already, or the link was made for another session. If you are still signed in, \
             go back to the application and sign out there.",
                HOME,
            )
        }
        Problem::BadRequest(_)
            if matches!(endpoint, Some(Endpoint::Login | Endpoint::LoginInitiation)) =>
        {
            (
                "This sign-in link is not valid",
                "The link that should have signed you in is damaged. Begin again from here.",
                SIGN_IN,
            )
        }
        Problem::RevocationsUnknown | Problem::UnknownKey => (
            "This page is not available right now",
            "This application cannot check your session at the moment. This is not your fault, and your session is kept. Wait a \
             moment, then try again.",
            AGAIN,
        ),
        Problem::IdentityProviderUnavailable if endpoint.is_none() => (
            "This page is not available right now",
            "To go on, this application has to ask the identity provider that signed you in, and the provider does not \
             answer. Your session is kept. Wait a moment, then try again.",
            AGAIN,
        ),
        Problem::IdentityProviderUnavailable => (
            "Signing in is not possible right now",
            "This application asks an identity provider who you are, and the provider does not answer. This is not \
             your fault, and nothing of yours is lost. Wait a moment, then try again.",
            AGAIN,
        ),
        Problem::LoginRequired { .. } => (
            "Please sign in",
            "Only people who are signed in may see this page, and nobody is signed in here. If you were, your session \
             has ended.",
            SIGN_IN,
        ),
        Problem::DeviceProofRequired { .. } => (
            "Please sign in again",
            "Your sign-in belongs to a device, and this browser did not prove that it is on it.",
            SIGN_IN,
        ),
        Problem::StepUpRequired { .. } => (
            "Please sign in once more",
            "This page needs a stronger or more recent sign-in than yours.",
            SIGN_IN,
        ),
        Problem::SessionTooLarge { at_login, .. } => too_large(*at_login),
        Problem::CrossSiteRequest(csrf::TYPED) => (
            "This address is not a page",
            "It is there for the application, which calls it when it needs to. Open the application instead.",
            HOME,
        ),
        other => elsewhere(other),
    };
    Words {
        heading,
        text: vec![text.to_owned()],
        ways,
        detail: match problem {
            // The text has said it.
            Problem::LoginFailed(_) => None,
            _ => problem.detail().map(sentence),
        },
    }
}

type Said = (&'static str, &'static str, &'static [Way]);

const fn failed(failure: LoginFailure) -> Said {
    let text = match failure {
        LoginFailure::ErrorFromProvider => {
            "The identity provider refused the login. Perhaps you cancelled it, or your account may not use this \
             application."
        }
        LoginFailure::NoLoginAttempt => {
            "This login was not begun in this browser, took too long, or is already done. You can begin a new one."
        }
        LoginFailure::CodeRefused => {
            "The identity provider did not accept the login any more when this application completed it. You can \
             begin a new one."
        }
        LoginFailure::InvalidIdToken | LoginFailure::InvalidResponse => {
            "The identity provider's answer did not pass verification, so this application did not trust it. If that \
             happens again, ask for help."
        }
        LoginFailure::IssuerMismatch => {
            "The answer came from another identity provider than the one that was asked, so this application did not \
             trust it. If that happens again, ask for help."
        }
    };
    ("You are not signed in", text, SIGN_IN_AGAIN)
}

/// The detail, with names and sizes, is the operator's.
const fn too_large(at_login: bool) -> Said {
    if at_login {
        (
            "Your account is too large for this application",
            "You proved who you are, but your account brings more along than this application can keep, for instance \
             a long list of groups. Another try would end the same way. Please ask for help: whoever runs the \
             application can change that.",
            HOME,
        )
    } else {
        (
            "Your session has ended",
            "Your account brings more along than this application can keep, for instance a long list of groups. \
             Please sign in again. If that does not help, whoever runs the application can change that.",
            SIGN_IN_AGAIN,
        )
    }
}

fn wait(seconds: u64) -> Words {
    let wait = match seconds {
        0 | 1 => "Wait a second, then try again.".to_owned(),
        seconds => format!("Wait {seconds} seconds, then try again."),
    };
    Words {
        heading: "Too many requests",
        text: vec![format!(
            "More requests came from you, or from others in your network, than this application takes. {wait}"
        )],
        ways: AGAIN,
        detail: None,
    }
}

/// What happens beside logins.
const fn elsewhere(problem: &Problem) -> Said {
    match problem {
        Problem::Forbidden(_) => (
            "You may not see this page",
            "You are signed in, but your account lacks a permission that this page needs. Whoever runs the application \
             can say who gets it.",
            HOME,
        ),
        Problem::InsufficientScope { .. } => (
            "This application may not do that for you",
            "When you signed in, this application was not given a permission that this page needs. Signing in again \
             may help.",
            SIGN_IN_AGAIN,
        ),
        Problem::CrossSiteRequest(_) => (
            "This was not done",
            "Another website seems to have used this application in your name. Nothing was changed. If it was you, do \
             the same in the application.",
            HOME,
        ),
        Problem::NotFound => (
            "There is nothing here",
            "The address may be mistyped, or the page may have moved.",
            HOME,
        ),
        Problem::MethodNotAllowed { .. } => (
            "This address is not used that way",
            "What your browser tried to do at this address is not possible there.",
            HOME,
        ),
        Problem::UpstreamTimeout => (
            "This takes too long",
            "A service behind this application did not answer in time. Try again in a moment.",
            AGAIN,
        ),
        Problem::PartFailed { .. } | Problem::UpstreamUnavailable => (
            "A part of this application does not work",
            "A service behind this application cannot be reached. Try again in a moment.",
            AGAIN,
        ),
        Problem::SessionRefreshConflict => (
            "Please try again",
            "Another tab renewed your session at the same moment. Nothing is lost.",
            AGAIN,
        ),
        Problem::Speculative => (
            "This page was loaded too early",
            "Your browser loaded it before you asked for it. Open it again.",
            AGAIN,
        ),
        Problem::UnknownFrontend { .. } => (
            "There is no application here",
            "No application has this host name. Check the address.",
            HOME,
        ),
        Problem::BodyTooLarge => (
            "That was too much",
            "What your browser sent is larger than this application takes.",
            HOME,
        ),
        Problem::HeadersTooLarge => (
            "Your browser sent too much",
            "It sent more cookies or longer addresses than this application takes. Your session has been ended, which \
             may have mended it.",
            AGAIN,
        ),
        Problem::BodyStalled => (
            "Your message did not arrive",
            "Your browser stopped sending in the middle. Check your connection, then try again.",
            AGAIN,
        ),
        Problem::BadRequest(_) | Problem::ExpectationFailed | Problem::WebSocketVersion => (
            "This request is not valid",
            "This application does not understand what your browser sent. Go back and try another way.",
            HOME,
        ),
        _ => (
            "Something went wrong here",
            "This is not your fault. Try again in a moment. If that does not help, ask for help.",
            AGAIN,
        ),
    }
}

/// Details begin small where they continue a log line. A name stays as it is written.
fn sentence(detail: &str) -> String {
    let first = detail.split(' ').next().unwrap_or_default();
    let mut text = detail.to_owned();
    if first.bytes().all(|byte| byte.is_ascii_lowercase())
        && let Some(initial) = text.get_mut(..1)
    {
        initial.make_ascii_uppercase();
    }
    if !text.ends_with(['.', '!', '?']) {
        text.push('.');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Problem> {
        let login_url = || "/bff/login".to_owned();
        let mut all = vec![
            Problem::BadRequest("sid is missing"),
            Problem::BodyStalled,
            Problem::BodyTooLarge,
            Problem::CrossSiteRequest("the Origin is another one"),
            Problem::CrossSiteRequest(csrf::TYPED),
            Problem::DeviceProofRequired {
                login_url: login_url(),
            },
            Problem::ExpectationFailed,
            Problem::Forbidden("the session has not the role".to_owned()),
            Problem::HeadersTooLarge,
            Problem::IdentityProviderUnavailable,
            Problem::RevocationsUnknown,
            Problem::UnknownKey,
            Problem::InsufficientScope {
                detail: "the token lacks orders.write".to_owned(),
                part: None,
            },
            Problem::Internal,
            Problem::LoginRequired {
                login_url: login_url(),
                detail: Some("the session has ended with its access token"),
            },
            Problem::MethodNotAllowed {
                allow: "GET".to_owned(),
            },
            Problem::NotFound,
            Problem::PartFailed {
                part: "orders".to_owned(),
                detail: "The part \"orders\" failed: upstream-status.".to_owned(),
                part_status: Some(500),
                status: 502,
            },
            Problem::RateLimited { retry_after: 1 },
            Problem::RateLimited { retry_after: 7 },
            Problem::SessionRefreshConflict,
            Problem::Speculative,
            Problem::StepUpRequired {
                login_url: login_url(),
            },
            Problem::UnknownFrontend { detail: None },
            Problem::UnknownFrontend {
                detail: Some("no frontend has the host a.test".to_owned()),
            },
            Problem::UpstreamTimeout,
            Problem::UpstreamUnavailable,
            Problem::WebSocketVersion,
        ];
        all.extend([true, false].map(|at_login| Problem::SessionTooLarge {
            at_login,
            detail: "9000 bytes are needed; access_token 8000".to_owned(),
        }));
        all.extend(
            [
                LoginFailure::CodeRefused,
                LoginFailure::ErrorFromProvider,
                LoginFailure::InvalidIdToken,
                LoginFailure::InvalidResponse,
                LoginFailure::IssuerMismatch,
                LoginFailure::NoLoginAttempt,
            ]
            .map(Problem::LoginFailed),
        );
        all
    }

    #[test]
    fn every_problem_is_told_in_whole_sentences() {
        // N7
        for problem in all() {
            for endpoint in [
                None,
                Some(Endpoint::Callback),
                Some(Endpoint::Login),
                Some(Endpoint::Logout),
            ] {
                let words = of(&problem, endpoint);
                assert!(words.heading.starts_with(char::is_uppercase), "{words:?}");
                assert!(!words.heading.ends_with('.'), "{words:?}");
                assert!(!words.ways.is_empty(), "{words:?}");
                for text in words.text.iter().chain(&words.detail) {
                    assert!(
                        !text.starts_with(char::is_lowercase) || text.contains('_'),
                        "{words:?}"
                    );
                    assert!(text.ends_with('.'), "{words:?}");
                }
            }
        }
    }

    #[test]
    fn a_fragment_becomes_a_sentence_and_a_name_stays_a_name() {
        assert_eq!(sentence("sid is missing"), "Sid is missing.");
        assert_eq!(sentence("max_age is in seconds"), "max_age is in seconds.");
        assert_eq!(sentence("\u{e9}"), "\u{e9}.");
    }

    #[test]
    fn nobody_is_sent_to_a_provider_that_is_down_or_to_a_login_that_must_fail() {
        // N7
        let signs_in = |problem: &Problem| {
            let ways = of(problem, Some(Endpoint::Callback)).ways;
            ways.iter().any(|way| matches!(way, Way::SignIn(_)))
        };
        let too_large = Problem::SessionTooLarge {
            at_login: true,
            detail: String::new(),
        };
        assert!(!signs_in(&Problem::IdentityProviderUnavailable));
        assert!(!signs_in(&too_large));
        assert!(signs_in(&Problem::LoginFailed(
            LoginFailure::NoLoginAttempt
        )));
    }

    #[test]
    fn the_operators_figures_are_no_part_of_what_is_said_to_the_person() {
        // N7
        let problem = Problem::SessionTooLarge {
            at_login: true,
            detail: "9000 bytes are needed; access_token 8000".to_owned(),
        };
        let words = of(&problem, Some(Endpoint::Callback));
        assert!(words.text.iter().all(|text| !text.contains("token")));
        assert_eq!(
            words.detail.as_deref(),
            Some("9000 bytes are needed; access_token 8000.")
        );
    }
}
