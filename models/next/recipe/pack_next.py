"""Pack the trained classifier as models/next: pack_next.py CLASSIFIER.keras ENCODER_FOLDER OUT"""
import sys,shutil
from pathlib import Path
import keras
from toxic_model.packed import WORD_EMBEDDINGS, pack_weights, write_tensors
from toxic_training.modelling.classifier import Encoder
from toxic_training.modelling.classifier import classifier_weights
import toxic_training.modelling.classifier
c=keras.saving.load_model(sys.argv[1],compile=False)
enc=Path(sys.argv[2]); out=Path(sys.argv[3]); (out/'tokenizer').mkdir(parents=True,exist_ok=True)
write_tensors(pack_weights(classifier_weights(c),table=WORD_EMBEDDINGS),out)
shutil.copy(enc/'config.json',out/'config.json'); shutil.copy(enc/'tokenizer.json',out/'tokenizer/tokenizer.json')
