/**
 * The page in which `biplane open` shows a report. A report is a task's own page: in this one it runs no script, and
 * loads nothing that could carry its data from the viewer's machine to a host that the task itself may not reach.
 */

/** The frame's document is under it too (HTML, "policy container"). */
const contentPolicy =
  "default-src 'none'; img-src data:; font-src data:; media-src data:; style-src 'unsafe-inline' data:";

const entities: Readonly<Record<string, string>> = { "&": "&amp;", '"': "&quot;" };

export function reportPage(report: string): string {
  const escaped = report.replace(/[&"]/g, (character) => entities[character]!);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${contentPolicy}">
<meta http-equiv="x-dns-prefetch-control" content="off">
<meta name="referrer" content="no-referrer">
<title>Report – Biplane</title>
<style>html,body{height:100%;margin:0}iframe{border:0;display:block;height:100%;width:100%}</style>
</head>
<body><iframe title="Report" sandbox srcdoc="${escaped}"></iframe></body>
</html>
`;
}
