"""Says how to get or arrange the pictures of a pipeline. usage: explain.py PIPELINE"""

import sys

print("""error: DATA=DIR is missing: where are your pictures?
  Make one folder for each class, named after it, with its PNG or JPEG pictures inside:
      DIR/cat/1.jpg  DIR/cat/2.jpg  DIR/dog/1.jpg ...
  A fifth of each class is kept for the test; or make that choice yourself with
      DIR/train/cat/... and DIR/test/cat/...
  then: make all PIPELINE={} DATA=DIR""".format(sys.argv[1]))
