//! Every key of the compose specification that we honour, and where the corpus uses it.
