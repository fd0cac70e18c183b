"""merge_quick.py CLASSIFIER.keras OTHER_FOLDER SHARE OUT.keras"""
import sys,keras
from pathlib import Path
import toxic_training.modelling.classifier
from toxic_training.modelling.classifier import classifier_weights,set_classifier_weights
from toxic_training.modelling.merging import merge,read_others
c=keras.saving.load_model(sys.argv[1],compile=False)
o=read_others({sys.argv[2]:float(sys.argv[3])},like=c)
set_classifier_weights(c,merge(classifier_weights(c),o)); Path(sys.argv[4]).parent.mkdir(exist_ok=True); c.save(sys.argv[4])
