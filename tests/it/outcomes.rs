//! Recommendations that people apply, what these turn out to do, and what is made of that.
