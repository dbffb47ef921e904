"""Says how to get or arrange the pictures of a pipeline. usage: explain.py PIPELINE"""

import sys

ARCHIVES = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/"

GTSRB = f"""error: GTSRB=DIR is missing: where are the traffic signs?
  DIR may hold any of these, as downloaded:
  - the official archives GTSRB_Final_Training_Images.zip, GTSRB_Final_Test_Images.zip and
    GTSRB_Final_Test_GT.zip, zipped or unpacked, from
    {ARCHIVES}
  - the Kaggle layout: Train.csv, Test.csv, Train/, Test/
  then: make all PIPELINE={{pipeline}} GTSRB=DIR"""

FOLDER = """error: DATA=DIR is missing: where are your pictures?
  Make one folder for each class, named after it, with its PNG or JPEG pictures inside:
      DIR/cat/1.jpg  DIR/cat/2.jpg  DIR/dog/1.jpg ...
  A fifth of each class is kept for the test; or make that choice yourself with
      DIR/train/cat/... and DIR/test/cat/...
  then: make all PIPELINE={pipeline} DATA=DIR"""

pipeline = sys.argv[1]
print((GTSRB if pipeline.startswith("gtsrb") else FOLDER).format(pipeline=pipeline))
