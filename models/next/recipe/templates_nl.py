import sys,numpy as np,pandas as pd,keras
from pathlib import Path
from sklearn.metrics import roc_auc_score as auc
from toxic_training.modelling.classifier import Encoder, logits_of
c=keras.saving.load_model('RUN/s2/classifier.keras',compile=False); enc=Encoder.open(Path('RUN/enc1')); tk=enc.tokeniser(max_tokens=128)
sc=lambda t:1/(1+np.exp(-logits_of(c,tk.token_ids([str(x) for x in t]),pad_id=enc.pad_id,batch_size=64)))
for l in ['nl','hi-Latn']:
    x=pd.read_csv(f'DATA/world/suites/bias_templates_{l}.csv').sample(800,random_state=2); p=sc(x.comment_text); x['t']=p[:,0]; x['m']=p[:,[0,3,4,5]].max(1)
    print(l,auc(x.toxic,x.t),auc(x.toxic,x.m)); g=x.groupby(['toxic','template'])[['t','m']].agg(['mean','size']); print(x.groupby('toxic').t.describe().round(2).to_string())
    e=x.groupby(['toxic','template']).agg(t=('t','mean'),n=('t','size'),ex=('comment_text','first')).sort_values('t'); print(e.loc[1].head(12).to_string()); print(e.loc[0].tail(12).to_string())
