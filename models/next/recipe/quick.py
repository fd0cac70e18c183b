"""Quick ranking figures of a classifier: quick.py CLASSIFIER.keras ENCODER_FOLDER [rows per source]"""
import sys,numpy as np,pandas as pd,keras,time,collections
from pathlib import Path
from sklearn.metrics import roc_auc_score as auc
from toxic_training.modelling.classifier import Encoder, logits_of
c=keras.saving.load_model(sys.argv[1],compile=False) if sys.argv[1].endswith('.keras') else None
enc=Encoder.open(Path(sys.argv[2])); N=int(sys.argv[3]) if len(sys.argv)>3 else 120
S='DATA/'; rng=np.random.default_rng(1)
tk=enc.tokeniser(max_tokens=128)
def score(texts):
    return 1/(1+np.exp(-logits_of(c,tk.token_ids([str(t) for t in texts]),pad_id=enc.pad_id,batch_size=64)))
t0=time.time()
w=pd.read_csv(S+'world/test.csv.gz',low_memory=False); w=w[w.toxic.notna()]
w=w.groupby(['lang','source','toxic'],group_keys=False).apply(lambda g:g.sample(min(len(g),N//2),random_state=1))if False else pd.concat([g.sample(min(len(g),N//2),random_state=1) for _,g in w.groupby(['lang','source','toxic'])])
w['p']=score(w.comment_text)[:,0]; L=collections.defaultdict(list)
for (l,s),g in w.groupby(['lang','source']):
    if (g.toxic==1).sum()>=30 and (g.toxic==0).sum()>=30: L[l].append((round(auc(g.toxic,g.p),3),s))
m={l:np.mean([a for a,_ in v]) for l,v in L.items()}
print('world mean',round(np.mean(list(m.values())),4),{l:round(v,3) for l,v in sorted(m.items(),key=lambda x:x[1])},flush=True)
print({l:v for l,v in L.items() if m[l]<.86})
h=pd.read_csv(S+'hatecheck/test_suite_cases.csv'); p=score(h.test_case); y=(h.label_gold=='hateful').astype(int)
print('hatecheck identity auc',round(auc(y,p[:,5]),4),'toxic',round(auc(y,p[:,0]),4), 'best acc id',max((round(((p[:,5]>t)==y).mean(),3),t) for t in np.arange(.05,.9,.05)))
t=max(np.arange(.05,.9,.05),key=lambda t:((p[:,5]>t)==y).mean()); ok=((p[:,5]>t)==y)
f=ok.groupby(h.functionality).mean(); nh=f[[x.endswith('_nh') for x in f.index]]; print('nonhateful mean',round(nh.mean(),3),nh.round(2).to_dict(),flush=True)
e=pd.read_csv('field/everyday.csv'); p=score(e.iloc[:,0] if 'comment_text' not in e else e.comment_text); print(e.columns.tolist())
e['m']=p[:,[0,3,4,5]].max(1); e['harm']=e['expected'].ne('ok'); print('everyday at .7 harmful',round((e.m[e.harm]>=.7).mean(),3),'harmless',round((e.m[~e.harm]<.7).mean(),3),'auc',round(auc(e.harm,e.m),4)); print(e.groupby('kind').apply(lambda g: round(float(((g.m>=.7)==g.harm).mean()),3)).to_dict(),flush=True)
for l in ['en','de','nl','zh','hi-Latn']:
    b=pd.read_csv(S+f'world/suites/bias_templates_{l}.csv').sample(1000,random_state=1); print('bias',l,round(auc(b.toxic,score(b.comment_text)[:,0]),4),flush=True)
x=pd.read_csv(S+'jigsaw/test.csv').merge(pd.read_csv(S+'jigsaw/test_labels.csv'),on='id'); x=pd.concat([g.sample(min(len(g),1500),random_state=1) for _,g in x.groupby('lang')]); x['p']=score(x.content)[:,0]
print('jigsaw',{l:round(auc(g.toxic,g.p),4) for l,g in x.groupby('lang')})
q=pd.read_csv(S+'world/perspective.csv.gz',low_memory=False); q=q[q.lang=='en'].sample(1500,random_state=1); p=score(q.comment_text); 
for i,a in enumerate(['TOXICITY','SEVERE_TOXICITY','PROFANITY','THREAT','INSULT','IDENTITY_ATTACK']):
    k=q[a].notna().to_numpy() if a in q else np.zeros(len(q),bool)
    if k.sum()>50: print(a,k.sum(),round(pd.Series(p[k,i]).corr(q[a][k].reset_index(drop=True),method='spearman'),3))
print(round(time.time()-t0),'s')
