//! Commands in Markdown, and what they print.

/// A command of a document.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// Its line in the document, from 1.
    pub line: usize,
    /// What is typed, without the prompt.
    pub command: String,
    /// The code that it ends with.
    pub code: i32,
    /// What it prints, where `...` stands for anything.
    pub expected: Vec<String>,
}

const LANGUAGE: &str = "```console";

/// The commands of all blocks of consoles, from top to bottom.
///
/// # Errors
///
/// What is wrong with a block, with its line.
pub fn steps(text: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    while let Some((number, line)) = lines.next() {
        let fence = line.trim_start();
        let Some(info) = fence.strip_prefix(LANGUAGE) else { continue };
        // Blocks in lists are indented as their fence is.
        let indent = line.get(..line.len() - fence.len()).unwrap_or_default();
        let content = |line| str::strip_prefix(line, indent).unwrap_or(line);
        let before = steps.len();
        let mut block = lines.by_ref().map(|(number, line)| (number, content(line)));
        loop {
            let Some((at, line)) = block.next() else {
                return Err(format!("{number}: the block does not end"));
            };
            if line == "```" {
                break;
            }
            match line.strip_prefix("$ ").or_else(|| line.strip_prefix("# ")) {
                Some(command) => {
                    let command = whole(command, block.by_ref().map(|(_, line)| line));
                    steps.push(Step { line: at, command, code: 0, expected: Vec::new() });
                }
                None if steps.len() == before => return Err(format!("{at}: no command before `{line}`")),
                None => steps.last_mut().into_iter().for_each(|step| step.expected.push(line.to_owned())),
            }
        }
        let last = steps.get_mut(before..).and_then(<[Step]>::last_mut);
        match (info.trim(), last) {
            ("", _) => {}
            (info, Some(step)) => {
                let code = info.strip_prefix("exit=").and_then(|code| code.parse().ok());
                step.code = code.ok_or_else(|| format!("{number}: `{info}` is not known"))?;
            }
            (_, None) => return Err(format!("{number}: no command")),
        }
    }
    Ok(steps)
}

/// A command with the lines that it goes on in.
fn whole<'a>(first: &str, mut lines: impl Iterator<Item = &'a str>) -> String {
    let mut command = first.to_owned();
    let mut add = |command: &mut String| {
        let line = lines.next();
        command.push('\n');
        command.push_str(line.unwrap_or_default());
        line.is_some()
    };
    while command.ends_with('\\') && add(&mut command) {}
    if first.contains("<<") {
        while !command.ends_with("\nEOF") && add(&mut command) {}
    }
    command
}

#[test]
fn commands_are_found_with_what_they_print() {
    let step = |line, command: &str, code, expected: &[&str]| Step {
        line,
        command: command.to_owned(),
        code,
        expected: expected.iter().map(|line| (*line).to_owned()).collect(),
    };
    let check = |text: &str, expected: &[Step]| assert_eq!(steps(text).as_deref(), Ok(expected), "{text}");
    check("text\n\n    $ indented\n```yaml\n$ a: b\n```\n", &[]);
    check("```console\n$ a\nx\n\n# b\n```\ny", &[step(2, "a", 0, &["x", ""]), step(5, "b", 0, &[])]);
    check("```console exit=3\n$ a\n$ b\n```\n", &[step(2, "a", 0, &[]), step(3, "b", 3, &[])]);
    check("1. list\n\n   ```console\n   # a\n     x\n   ```\n", &[step(4, "a", 0, &["  x"])]);
    check("```console\n$ a \\\n    b\nx\n```\n", &[step(2, "a \\\n    b", 0, &["x"])]);
    check("```console\n$ a <<EOF\n# b\nEOF\nx\n```\n", &[step(2, "a <<EOF\n# b\nEOF", 0, &["x"])]);
    let refuse = |text: &str, why: &str| assert_eq!(steps(text), Err(why.to_owned()), "{text}");
    refuse("```console\n$ a\n", "1: the block does not end");
    refuse("```console\nx\n$ a\n```\n", "2: no command before `x`");
    refuse("```console fails\n$ a\n```\n", "1: `fails` is not known");
}
