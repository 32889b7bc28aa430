"""What looks like a key is not shown again: not in our log, not on our pages.

Only what we write ourselves. The streams of claude, its results and the task files stay as they are.
"""

from __future__ import annotations

import re
from typing import Final

_HIDDEN: Final = "•••"

_KEYS: Final = re.compile(
    r"""
      (?P<start>
          sk-(?:ant-|proj-|live-|test-)?            # Anthropic, OpenAI, Stripe
        | (?:sk|rk|pk)_(?:live|test)_
        | gh[pousr]_ | github_pat_ | glpat- | npm_ | pypi- | hf_ | dop_v1_ | shpat_
        | xox[abeoprs]- | xapp-                     # Slack
        | AKIA | ASIA                               # AWS
        | AIza | ya29\.                             # Google
        | eyJ(?=[\w-]{8,400}\.eyJ)                        # JSON web tokens
      )[\w.+/=-]{12,}
    | (?P<pem>-----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----).*?(?:-----END[ ][A-Z ]*PRIVATE[ ]KEY-----|\Z)
    | (?P<scheme>\b[a-z][a-z\d+.-]{1,20}://[^\s/:@]{0,200}:)[^\s/@]{1,200}(?=@)
    | (?P<bearer>\b(?:bearer|basic)[ ]+)[\w.+/=~-]{12,}
    | (?P<name>
          (?<![\w-])[\w-]{0,40}(?:api[_-]?key|secret|token|passw(?:or)?d|passphrase|credentials?)[\w-]{0,20}
          ["']?[ ]*[=:][ ]*["']?
      )(?![\s"'])[^\s"',;]{8,}
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


def masked(text: str) -> str:
    """Return the text with what looks like a key hidden; the beginning stays, so that one knows which key it was."""
    return _KEYS.sub(lambda found: next(part for part in found.groups() if part is not None) + _HIDDEN, text)
