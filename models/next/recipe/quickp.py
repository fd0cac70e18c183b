"""TOXICITY with windows: quickp.py ENCODER MAX_TOKENS CLASSIFIER..."""
import sys,numpy as np,pandas as pd,keras,time
from pathlib import Path
from toxic_training.modelling.classifier import Encoder, logits_of
enc=Encoder.open(Path(sys.argv[1])); M=int(sys.argv[2])
q=pd.read_csv('DATA/world/perspective.csv.gz',low_memory=False); q=q[q.lang=='en'].sample(1500,random_state=1)
ids=enc.tokeniser(max_tokens=100000).token_ids([str(t) for t in q.comment_text]); n=np.array([len(i) for i in ids])
win=[];row=[]
for r,i in enumerate(ids):
    if len(i)<=M: win.append(i); row.append(r); continue
    body=i[1:-1]; step=M-2-16
    for s in range(0,max(len(body)-16,1),step): win.append(np.concatenate([i[:1],body[s:s+M-2],i[-1:]]).astype(np.int32)); row.append(r)
row=np.array(row); print('rows over',M,(n>M).mean().round(3),'windows',len(win)); k=q.PROFANITY.notna().to_numpy(); T=q.TOXICITY.to_numpy()
sp=lambda a,b: round(pd.Series(a).corr(pd.Series(b),method='spearman'),4)
for p in sys.argv[3:]:
    c=keras.saving.load_model(p,compile=False); l=logits_of(c,win,pad_id=enc.pad_id,batch_size=32)[:,0]
    mx=pd.Series(l).groupby(row).max().to_numpy(); mean=pd.Series(l).groupby(row).mean().to_numpy(); first=pd.Series(l).groupby(row).first().to_numpy()
    print(p,'max',sp(mx,T),'prompts',sp(mx[k],T[k]),'other',sp(mx[~k],T[~k]),'first',sp(first,T),'mean',sp(mean,T),'length',sp(mx,n),sp(T,n),flush=True)
    print('  with length',[(a,sp(mx+a*np.log(n),T)) for a in (.2,.4,.6,.8,1.0)],flush=True)
