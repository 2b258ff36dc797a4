import { createHash } from 'node:crypto';

/** Sends the form at once where scripts run; elsewhere the person presses the button. */
const SCRIPT = 'document.forms[0].submit()';
const SCRIPT_HASH = createHash('sha256').update(SCRIPT).digest('base64');

/** A page that posts an answer to the client (OAuth 2.0 Form Post Response Mode). */
export function formPostPage(
  action: string,
  parameters: Readonly<Record<string, string>>,
): { readonly html: string; readonly csp: string } {
  const fields = Object.entries(parameters).map(
    ([name, value]) => `<input type="hidden" name="${escapeHtml(name)}" value="${escapeHtml(value)}">`,
  );
  const page = [
    '<!doctype html><html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Returning to the application</title></head>',
    `<body><form method="post" action="${escapeHtml(action)}">${fields.join('')}`,
    '<p>Continue to the application that sent you here.</p><button type="submit">Continue</button></form>',
    `<script>${SCRIPT}</script></body></html>`,
  ];
  // No form-action: the client may answer the post with any redirect, and browsers would hold it against this page.
  const csp = `default-src 'none'; script-src 'sha256-${SCRIPT_HASH}'; frame-ancestors 'none'; base-uri 'none'`;
  return { html: page.join(''), csp };
}

function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
