//! The named roles view, edit and admin.
