"""Pooled vectors: feats.py CLASSIFIER ENCODER OUT.npz"""
import sys,numpy as np,pandas as pd,keras,time
from pathlib import Path
from toxic_training.modelling.classifier import Encoder, LOGITS
from toxic_training.modelling.batches import model_inputs
c=keras.saving.load_model(sys.argv[1],compile=False); enc=Encoder.open(Path(sys.argv[2])); tk=enc.tokeniser(max_tokens=128)
f=keras.Model(c.input,c.get_layer('mean_pooling').output)
k,b=c.get_layer(LOGITS).get_weights(); S='DATA/'; P='RUN/data/03_primary/'
t0=time.time(); out={'k':k,'b':b}
def feats(name,texts):
    ids=tk.token_ids([str(t) for t in texts]); order=np.argsort([len(i) for i in ids],kind='stable'); p=np.empty((len(ids),k.shape[0]),np.float32)
    for at in range(0,len(order),64):
        part=order[at:at+64]; p[part]=f.predict_on_batch(model_inputs([ids[i] for i in part],pad_id=enc.pad_id))
    out[name]=p; out[name+'_n']=np.array([len(i) for i in ids]); print(name,len(p),round(time.time()-t0),flush=True)
def lab(name,v): out[name+'_y']=np.asarray(v,np.float32)
q=pd.read_csv(S+'world/perspective.csv.gz',low_memory=False); q=q[q.lang=='en'].sample(1500,random_state=1); feats('persp',q.comment_text); lab('persp',q[['TOXICITY','SEVERE_TOXICITY','PROFANITY','THREAT','INSULT','IDENTITY_ATTACK']])
x=pd.read_csv(S+'jigsaw/test.csv').merge(pd.read_csv(S+'jigsaw/test_labels.csv'),on='id'); x=pd.concat([g.sample(min(len(g),1200 if l=='en' else 700),random_state=1) for l,g in x.groupby('lang') if l in('en','es','it','tr')]); feats('jig',x.content); lab('jig',x.toxic); out['jig_l']=x.lang.to_numpy().astype('U8')
v=pd.read_parquet(P+'validation_comments.parquet'); print(v.columns.tolist(),len(v)); v=v[v.toxic.notna()]; v=pd.concat([g.sample(min(len(g),60),random_state=1) for _,g in v.groupby(['language','source','toxic'])]); feats('val',v.text); lab('val',v.toxic); out['val_l']=v.language.to_numpy().astype('U8'); out['val_s']=v.source.to_numpy().astype('U20')
t=pd.read_parquet(P+'training_comments.parquet'); t=t[t.toxic.notna()]; t=t.drop_duplicates('text'); t=t.sample(5000,random_state=1); feats('tr',t.text); lab('tr',t[['toxic','severe_toxic','obscene','threat','insult','identity_hate']]); out['tr_l']=t.language.to_numpy().astype('U8'); out['tr_s']=t.source.to_numpy().astype('U20')
for l in ['en','nl','hi-Latn']:
    bt=pd.read_csv(S+f'world/suites/bias_templates_{l}.csv').sample(800,random_state=1); feats('bias_'+l,bt.comment_text); lab('bias_'+l,bt.toxic)
np.savez(sys.argv[3],**out)
