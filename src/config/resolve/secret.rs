//! Follows the reference of a required secret.

use zeroize::Zeroizing;

use super::resolver::Resolver;
use crate::config::key_path::KeyPath;
use crate::config::secret::{self, Form};
use crate::config::settings::SecretReference;

impl Resolver<'_> {
    /// The text of a secret of one line; `example` is the remedy if it is missing.
    pub(super) fn secret(
        &mut self,
        at: &KeyPath,
        reference: Option<&SecretReference>,
        example: &str,
    ) -> Option<Zeroizing<String>> {
        self.follow(at, reference, example, Form::Line)
    }

    /// The text of private keys in PEM; `example` is the remedy where they are missing.
    pub(super) fn private_keys(
        &mut self,
        at: &KeyPath,
        reference: Option<&SecretReference>,
        example: &str,
    ) -> Option<Zeroizing<String>> {
        self.follow(at, reference, example, Form::Pem)
    }

    fn follow(
        &mut self,
        at: &KeyPath,
        reference: Option<&SecretReference>,
        example: &str,
        form: Form,
    ) -> Option<Zeroizing<String>> {
        let Some(reference) = reference else {
            self.required::<()>(&at.child("file"), None, example);
            return None;
        };
        let (at, read) = match reference {
            SecretReference {
                file: Some(file),
                env: None,
            } => {
                let at = at.child("file");
                let path = self.private_path(&at, file);
                (at, secret::read_file(&path, form))
            }
            SecretReference {
                file: None,
                env: Some(name),
            } => {
                self.secret_variables.push(name.clone());
                (
                    at.child("env"),
                    secret::read_variable(name, &self.written.environment, form),
                )
            }
            SecretReference { file: Some(_), .. } => {
                self.wrong(at, "file and env are both set", example);
                return None;
            }
            SecretReference { file: None, .. } => {
                // Silent if there is a mistake about `file` or `env` already.
                self.required::<()>(&at.child("file"), None, example);
                return None;
            }
        };
        match read {
            Ok((text, warning)) => {
                if let Some(warning) = warning {
                    self.warn(&at, &warning);
                }
                Some(text)
            }
            Err((what, remedy)) => {
                self.wrong(&at, what, remedy);
                None
            }
        }
    }
}
