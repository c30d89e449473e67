//! HTTP methods and Kubernetes verbs.

use std::fmt;
use std::str::FromStr;

/// The HTTP methods that a request may have: `GET`, `POST`, `PUT`, `PATCH`, `DELETE`.
///
/// Upper case exactly; every other method (also `HEAD` and `OPTIONS`) is refused with code 4.
/// The set is the contract's and does not grow.
#[allow(clippy::exhaustive_enums)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// `GET`.
    Get,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `PATCH`.
    Patch,
    /// `DELETE`.
    Delete,
}

impl Method {
    /// All methods, in the order of the contract's list.
    pub const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete];

    /// The method that `bytes` spell, exactly and in upper case.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes {
            b"GET" => Some(Self::Get),
            b"POST" => Some(Self::Post),
            b"PUT" => Some(Self::Put),
            b"PATCH" => Some(Self::Patch),
            b"DELETE" => Some(Self::Delete),
            _ => None,
        }
    }

    /// The method as HTTP spells it, in upper case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// The verb of a non-resource request: the method in lower case.
    #[must_use]
    pub const fn non_resource_verb(self) -> Verb {
        match self {
            Self::Get => Verb::Get,
            Self::Post => Verb::Post,
            Self::Put => Verb::Put,
            Self::Patch => Verb::Patch,
            Self::Delete => Verb::Delete,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Method {
    type Err = UnknownMethod;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_bytes(text.as_bytes()).ok_or(UnknownMethod)
    }
}

/// A verb as policy rules name it.
///
/// The set is the contract's and does not grow. `post` and `put` exist for non-resource requests
/// only; `list`, `watch`, `create`, `update` and `deletecollection` for resources only.
#[allow(clippy::exhaustive_enums)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// One object, or a non-resource `GET`.
    Get,
    /// All objects of a kind.
    List,
    /// Changes of objects as they happen.
    Watch,
    /// A new object; also `exec`, `attach`, `portforward` and `proxy`, whatever the method.
    Create,
    /// An object replaced.
    Update,
    /// An object changed in part, or a non-resource `PATCH`.
    Patch,
    /// One object removed, or a non-resource `DELETE`.
    Delete,
    /// All objects of a kind removed.
    DeleteCollection,
    /// A non-resource `POST`.
    Post,
    /// A non-resource `PUT`.
    Put,
}

impl Verb {
    /// All verbs.
    pub const ALL: [Self; 10] = [
        Self::Get,
        Self::List,
        Self::Watch,
        Self::Create,
        Self::Update,
        Self::Patch,
        Self::Delete,
        Self::DeleteCollection,
        Self::Post,
        Self::Put,
    ];

    /// The verb as policy rules spell it, in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Post => "post",
            Self::Put => "put",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Verb {
    type Err = UnknownVerb;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|verb| verb.as_str() == text)
            .ok_or(UnknownVerb)
    }
}

/// A method outside of [`Method`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the method must be one of GET, POST, PUT, PATCH, DELETE, in upper case")]
#[non_exhaustive]
pub struct UnknownMethod;

/// A verb outside of [`Verb`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the verb must be one of get, list, watch, create, update, patch, delete, deletecollection, post, put"
)]
#[non_exhaustive]
pub struct UnknownVerb;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_method_and_verb_reads_what_it_prints() {
        for method in Method::ALL {
            assert_eq!(method.to_string().parse(), Ok(method));
            assert_eq!(Method::from_bytes(method.as_str().as_bytes()), Some(method));
            assert_eq!(
                method.non_resource_verb().as_str(),
                method.as_str().to_ascii_lowercase()
            );
        }
        for verb in Verb::ALL {
            assert_eq!(verb.to_string().parse(), Ok(verb));
        }
    }

    #[test]
    fn other_methods_and_spellings_are_unknown() {
        for text in [
            "", "get", "Get", "HEAD", "OPTIONS", "CONNECT", "TRACE", "GET ", " GET", "GETS", "GE",
            "PUT\0",
        ] {
            assert_eq!(Method::from_bytes(text.as_bytes()), None, "{text:?}");
            assert_eq!(text.parse::<Method>(), Err(UnknownMethod), "{text:?}");
        }
        for text in [
            "",
            "Get",
            "*",
            "head",
            "deleteCollection",
            "use",
            "impersonate",
        ] {
            assert_eq!(text.parse::<Verb>(), Err(UnknownVerb), "{text:?}");
        }
    }
}
