"""Take length_share off a finished classifier: apply_len.py CLASSIFIER.keras ENCODER SHARE OUT.keras MAX_TOKENS SEED"""
import sys
from pathlib import Path
import numpy as np, pandas as pd, keras
from toxic_training.modelling.classifier import Encoder, LOGITS, add_toxic_logit, vectors_of
from toxic_training.modelling.length import COMMENTS, take_length_off
c=keras.saving.load_model(sys.argv[1],compile=False); enc=Encoder.open(Path(sys.argv[2])); share=float(sys.argv[3])
S={"severe_toxic":1.0,"obscene":1.0,"threat":0.25,"insult":0.5}
t=pd.read_parquet('RUN/data/03_primary/training_comments.parquet')
rows=np.random.default_rng(int(sys.argv[6])).permutation(len(t))[:COMMENTS]; t=t.iloc[rows]
ids=enc.tokeniser(max_tokens=int(sys.argv[5])).token_ids(t.text.tolist())
layer=c.get_layer(LOGITS); k,b=layer.get_weights(); k,b=add_toxic_logit(k,b,{n:-v for n,v in S.items()})
v=vectors_of(c,ids,pad_id=enc.pad_id,batch_size=32)
k2,b2=take_length_off(k,b,vectors=v,tokens=np.array([len(i) for i in ids]),toxic=t.toxic.to_numpy(np.float32),groups=t.language.to_numpy(object),share=share)
layer.set_weights(add_toxic_logit(k2,b2,S)); Path(sys.argv[4]).parent.mkdir(exist_ok=True); c.save(sys.argv[4])
