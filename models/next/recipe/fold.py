"""Fold shares of the logit of toxic into a classifier: fold.py IN.keras OUT.keras"""
import sys,keras
sys.path.insert(0,'services/training/src')
from toxic_training.modelling.classifier import LOGITS, add_toxic_logit
c=keras.saving.load_model(sys.argv[1],compile=False); l=c.get_layer(LOGITS); k,b=l.get_weights()
l.set_weights(add_toxic_logit(k,b,{'severe_toxic':1.0,'obscene':1.0,'threat':.25,'insult':.5})); c.save(sys.argv[2])
