"""mix.py OUT.keras SHARE=CLASSIFIER.keras... : mean of weights of classifiers of one encoder"""
import sys,keras
from pathlib import Path
from toxic_training.modelling.classifier import classifier_weights,set_classifier_weights
parts=[a.split('=') for a in sys.argv[2:]]
cs=[(float(s),keras.saving.load_model(p,compile=False)) for s,p in parts]; ws=[(s,classifier_weights(c)) for s,c in cs]
assert abs(sum(s for s,_ in ws)-1)<1e-6
set_classifier_weights(cs[0][1],{n:sum(s*w[n] for s,w in ws) for n in ws[0][1]}); Path(sys.argv[1]).parent.mkdir(exist_ok=True); cs[0][1].save(sys.argv[1])
