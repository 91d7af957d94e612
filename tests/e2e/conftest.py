"""The fixtures, which other tests of whole programs have as well."""
from fixtures import *  # noqa: F401, F403
