"""Bias nl, hi-Latn, de; Jigsaw es, it, en; TOXICITY: quick8.py ENCODER MAX_TOKENS CLASSIFIER..."""
import sys,numpy as np,pandas as pd,keras,time
from pathlib import Path
from sklearn.metrics import roc_auc_score as auc
from toxic_training.modelling.classifier import Encoder, logits_of
enc=Encoder.open(Path(sys.argv[1])); tk=enc.tokeniser(max_tokens=int(sys.argv[2])); S='DATA/'
def load(l): return pd.read_csv(S+f'world/suites/bias_templates_{l}.csv').sample(800,random_state=1)
B={l:load(l) for l in ('nl','hi-Latn','de')}
x=pd.read_csv(S+'jigsaw/test.csv').merge(pd.read_csv(S+'jigsaw/test_labels.csv'),on='id'); x=pd.concat([g.sample(min(len(g),1200 if l=='en' else 700),random_state=1) for l,g in x.groupby('lang') if l in('es','it')])
q=pd.read_csv(S+'world/perspective.csv.gz',low_memory=False); q=q[q.lang=='en'].sample(1500,random_state=1)
def score(c,texts):
    ids=tk.token_ids([str(t) for t in texts]); order=np.argsort([len(i) for i in ids],kind='stable'); p=np.empty((len(ids),6),np.float32)
    for at in range(0,len(order),64):
        part=order[at:at+64]; p[part]=logits_of(c,[ids[i] for i in part],pad_id=enc.pad_id,batch_size=64)
    return p
for path in sys.argv[3:]:
    t0=time.time(); c=keras.saving.load_model(path,compile=False); o=[]
    for l,b in B.items(): o.append((l,round(auc(b.toxic,score(c,b.comment_text)[:,0]),4)))
    p=score(c,x.content)[:,0]; o+=[(l,round(auc(x.toxic[x.lang==l],p[(x.lang==l).to_numpy()]),4)) for l in ('es','it')]
    p=score(c,q.comment_text)
    for i,a in enumerate(['TOXICITY','SEVERE_TOXICITY','PROFANITY','THREAT','INSULT','IDENTITY_ATTACK']):
        k=q[a].notna().to_numpy(); o.append((a[:4],round(pd.Series(p[k,i]).corr(pd.Series(q[a][k].to_numpy()),method='spearman'),3)))
    print(path,o,round(time.time()-t0),flush=True)
