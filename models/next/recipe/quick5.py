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
#e=pd.read_csv('FIELD/everyday.csv').rename(columns={'lang':'language'}); e=keep('everyday',add(e,'comment_text'))
B=[]
for l in ['en','de','nl','zh','hi-Latn']:
    b=pd.read_csv(S+f'world/suites/bias_templates_{l}.csv').sample(800,random_state=1); b['language']=l; b=keep('bias_'+l,add(b,'comment_text')); print('bias',l,round(auc(b.toxic,b.score_toxic),4),flush=True)
x=pd.read_csv(S+'jigsaw/test.csv').merge(pd.read_csv(S+'jigsaw/test_labels.csv'),on='id'); x=pd.concat([g.sample(min(len(g),1200 if l=='en' else 700),random_state=1) for l,g in x.groupby('lang') if l in('en','es','it','tr')]); x=keep('jigsaw',add(x,'content'))
print('jigsaw',{l:round(auc(g.toxic,g.score_toxic),4) for l,g in x.groupby('lang')})
q=pd.read_csv(S+'world/perspective.csv.gz',low_memory=False); q=q[q.lang=='en'].sample(1500,random_state=1); q=keep('perspective',add(q,'comment_text'))
for i,a in enumerate(['TOXICITY','SEVERE_TOXICITY','PROFANITY','THREAT','INSULT','IDENTITY_ATTACK']):
    k=q[a].notna()
    if k.sum()>50: print(a,k.sum(),round(q[SCORE_COLUMNS[i]][k].corr(q[a][k],method='spearman'),3))
print(round(time.time()-t0),'s')
