"""Jigsaw with windows: quickj.py ENCODER MAX_TOKENS CLASSIFIER..."""
import sys,numpy as np,pandas as pd,keras,time
from pathlib import Path
from sklearn.metrics import roc_auc_score as auc
from toxic_training.modelling.classifier import Encoder, logits_of
enc=Encoder.open(Path(sys.argv[1])); M=int(sys.argv[2]); S='DATA/'
x=pd.read_csv(S+'jigsaw/test.csv').merge(pd.read_csv(S+'jigsaw/test_labels.csv'),on='id'); x=x[x.lang.isin(['es','it'])].reset_index(drop=True)
ids=enc.tokeniser(max_tokens=100000).token_ids([str(t) for t in x.content]); n=np.array([len(i) for i in ids])
win=[];row=[]
for r,i in enumerate(ids):
    if len(i)<=M: win.append(i); row.append(r); continue
    body=i[1:-1]; step=M-2-16
    for s in range(0,max(len(body)-16,1),step): win.append(np.concatenate([i[:1],body[s:s+M-2],i[-1:]]).astype(np.int32)); row.append(r)
row=np.array(row); print('rows over',M,(n>M).mean().round(3),'windows',len(win))
for p in sys.argv[3:]:
    c=keras.saving.load_model(p,compile=False); l=logits_of(c,win,pad_id=enc.pad_id,batch_size=32)[:,0]
    for nm in ('max','mean','first'):
        v=getattr(pd.Series(l).groupby(row),nm)().to_numpy(); print(p,nm,{k:round(auc(x.toxic[x.lang==k],v[x.lang==k]),4) for k in ('es','it')},flush=True)
