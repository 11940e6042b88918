//! The one list of links, and tests that run on each.

use crate::Link;

/// An `rstest` whose first argument is the link: a case for every link, times those of the other
/// arguments.
///
/// ```text
/// on_every_link! {
///     fn an_image_arrives(link: Link, #[values("", "drop_every=5")] faults: &str) { … }
/// }
/// ```
#[macro_export]
macro_rules! on_every_link {
    (fn $name:ident($link:ident: Link $(, $($rest:tt)*)?) $body:block) => {
        $crate::test_on_every_link!($name $link [$($($rest)*)?] $body);
    };
}

/// Makes of the list what tests need. A dollar sign is given to it, for the macro in it.
macro_rules! links {
    ($dollar:tt $($variant:ident)+) => {
        impl Link {
            /// Every link. `replay:` has one end only, and tests of its own.
            pub const ALL: &[Self] = &[$(Self::$variant),+];
        }

        #[doc(hidden)]
        #[macro_export]
        macro_rules! test_on_every_link {
            ($dollar name:ident $dollar link:ident [$dollar($dollar rest:tt)*] $dollar body:block)
            => {
                #[rstest::rstest]
                fn $dollar name(
                    #[values($($crate::Link::$variant),+)] $dollar link: $crate::Link,
                    $dollar($dollar rest)*
                ) $dollar body
            };
        }
    };
}

links!($ Loopback Unix Tcp Serial);
