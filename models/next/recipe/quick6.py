"""Decisions and ranking of a classifier on a subsample: quick2.py CLASSIFIER.keras ENCODER OUT [rows per class and source]"""
import sys,numpy as np,pandas as pd,keras,time,collections
from pathlib import Path
from sklearn.metrics import roc_auc_score as auc
from toxic_training.modelling.classifier import Encoder, logits_of
from toxic_training.evaluation.calibrating import fit_operating_point
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.evaluation.operating_point import SCORE_COLUMNS
c=keras.saving.load_model(sys.argv[1],compile=False); enc=Encoder.open(Path(sys.argv[2])); out=Path(sys.argv[3]); N=int(sys.argv[4]) if len(sys.argv)>4 else 60
S='DATA/'; P='RUN/data/03_primary/'; tk=enc.tokeniser(max_tokens=128)
t0=time.time()
def score(texts):
    ids=tk.token_ids([str(t) for t in texts]); order=np.argsort([len(i) for i in ids],kind='stable'); p=np.empty((len(ids),6),np.float32)
    for at in range(0,len(order),64):
        part=order[at:at+64]; p[part]=logits_of(c,[ids[i] for i in part],pad_id=enc.pad_id,batch_size=64)
    return 1/(1+np.exp(-p))
def add(x,text='text'):
    x=x.reset_index(drop=True).copy(); x[SCORE_COLUMNS]=score(x[text]); return x
out.mkdir(parents=True,exist_ok=True)
def keep(name,x): x.drop(columns=[k for k in x if k in('text','comment_text','content','test_case')],errors='ignore').to_parquet(out/f'{name}.parquet'); print(name,len(x),round(time.time()-t0),'s',flush=True); return x
e=pd.read_csv('FIELD/everyday.csv').rename(columns={'lang':'language'}); e=keep('everyday',add(e,'comment_text'))
w=pd.read_csv(S+'world/test.csv.gz',low_memory=False); w=w[w.toxic.notna()]; w=pd.concat([g.sample(min(len(g),N//2),random_state=1) for _,g in w.groupby(['lang','source','toxic'])]); w=keep('world',add(w,'comment_text'))
L=collections.defaultdict(list)
for (l,s),g in w.groupby(['lang','source']):
    if (g.toxic==1).sum()>=30 and (g.toxic==0).sum()>=30: L[l].append((round(auc(g.toxic,g.score_toxic),3),s))
m={l:np.mean([a for a,_ in v]) for l,v in L.items()}
print('world mean',round(np.mean(list(m.values())),4),{l:round(float(v),3) for l,v in sorted(m.items(),key=lambda x:x[1])},flush=True)
h=pd.read_csv(S+'hatecheck/test_suite_cases.csv'); h['language']='en'; h=keep('hatecheck',add(h,'test_case'))
print('hatecheck identity auc',round(auc((h.label_gold=='hateful').astype(int),h.score_identity_hate),4),'any',round(auc((h.label_gold=='hateful').astype(int),h[SCORE_COLUMNS].max(axis=1)),4)); m=e[['score_toxic','score_threat','score_insult','score_identity_hate']].max(axis=1); print(e.columns.tolist()[:6]); print(round(time.time()-t0),'s')
