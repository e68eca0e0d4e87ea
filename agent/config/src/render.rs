//! Findings as people read them, in the manner of a compiler.

use crate::finding::{Finding, Severity};

/// One paragraph a finding: place, code, what is wrong; the line and a caret; what to do.
pub fn render(findings: &[Finding], file: &str) -> String {
    findings.iter().map(|finding| paragraph(finding, file)).collect::<Vec<_>>().join("\n")
}

fn paragraph(finding: &Finding, file: &str) -> String {
    let place = finding.at.map_or(String::new(), |at| format!(":{}:{}", at.line, at.column));
    let severity = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let key = if finding.key.is_empty() { String::new() } else { format!("{}: ", finding.key) };
    let mut text = format!("{file}{place}: {severity} {}: {key}{}\n", finding.code, finding.message);
    for line in finding.excerpt.iter().flat_map(|excerpt| excerpt.lines()) {
        text += &format!("    {line}\n");
    }
    text + &format!("  {}\n", finding.advice)
}
