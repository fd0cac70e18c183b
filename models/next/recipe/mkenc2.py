import csv,gzip,sys,json,collections,numpy as np
from pathlib import Path
from dataclasses import replace
import toxic_training.modelling.encoders.files as F
import toxic_training.modelling.encoders.vocabulary as V
from toxic_training.modelling.encoders.symbols import add_symbols
from toxic_model.packed import WORD_EMBEDDINGS
from toxic_core.text import normalise
csv.field_size_limit(10**8)
S='DATA/'
texts=[]
for p in ['world/train.csv.gz','behaviour/train.csv.gz']:
    with gzip.open(S+p,'rt',encoding='utf-8',newline='') as f: texts+=[r['comment_text'] for r in csv.DictReader(f)]
with gzip.open('data/behaviour/train.csv.gz','rt',encoding='utf-8',newline='') as f: texts+=[r['comment_text'] for r in csv.DictReader(f)]
for p in ['validation.csv','extra-train-translated.csv','jigsaw-toxic-comment-train.csv']:
    with open(S+'jigsaw/'+p,encoding='utf-8',newline='') as f: texts+=[r['comment_text'] for r in list(csv.DictReader(f))[:20000]]
e=F.read_encoder(Path('RUN/enc0'))
vocab=[(p,s) for p,s in json.loads(e.tokenizer.to_str())['model']['vocab']]
c=collections.Counter()
for i in range(0,len(texts),5000):
    for x in e.tokenizer.encode_batch_fast([normalise(t) for t in texts[i:i+5000]]): c.update(set(x.ids))
n=len(vocab)
raw=json.loads(e.tokenizer.to_str()); added=[a['content'] for a in raw['added_tokens']]
print(n, 'added',len(added), 'seen',len(c),'>=2',sum(v>=2 for v in c.values()),'>=3',sum(v>=3 for v in c.values()))
print('tail', vocab[-3:])
specials=set(V.SpecialTokens().in_order())
kept={i for i,v in c.items() if v>=3}|{i for i,(p,_) in enumerate(vocab) if p in specials or len(p.lstrip('▁'))<=1 or p in added}
by=sorted(range(n),key=lambda i:-vocab[i][1]); sup=[i for i in by if V._is_supported(vocab[i][0])][:60000]
print('single+3',len(kept)); k2=kept|set(sup[:40000]); print('+40k',len(k2),'+60k',len(kept|set(sup)))
import pickle; pickle.dump((vocab,c,kept,sup,added),open('RUN/vocab.pkl','wb'))
