"""`python -m keras_s2s.cli` is `keras-s2s`."""

import sys

from keras_s2s.cli import main

sys.exit(main())
