//! Names, in the description of the interface, of types whose shape other crates publish as JSON Schema. The
//! shapes themselves are put in by [`super::docs::openapi`].

use utoipa::ToSchema;

macro_rules! named {
    ($($name:ident)*) => {
        $(
            #[derive(ToSchema)]
            pub(crate) struct $name {}
        )*
    };
}

named! {
    ArcPoint AtDesk CallEvent CallInsight CallQuality CallState CardAnswer EndReason InLine LastWords Outcome Participant
    Party PlaybookStep PromptAnswer Quality Role Shedding Source Supervisor
}
