// Package show makes data fit for the place where it is shown. Whatever a platform, a manifest or a file name says is
// data: nothing in it steers a terminal or a CI runner, ends the code, the fence or the element that it stands in, or
// is taken for markup, a mention or a command.
//
//   - Line, LineStart and Text are for a terminal and a log, JSON for a pipeline.
//   - Code, Fence, Prose and HTML are for Markdown, CommandData and CommandProperty for a GitHub runner.
//   - ShellWord is for a command that a person copies.
//   - Value, Quote and Path show a value and where it stands; Number and Count write numbers.
//   - Width, Pad, ClipWidth and Columns count as a terminal does, Clip in characters, Units and ClipLines as GitHub
//     does.
package show
