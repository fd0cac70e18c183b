"""Mean of the weights of classifiers and of the start's: wise.py OUT ENCODER ALPHA_START CLASSIFIER..."""
import sys,keras,numpy as np
from pathlib import Path
from toxic_training.modelling.classifier import Encoder, build_classifier, LOGITS
out,enc,alpha=sys.argv[1],Encoder.open(Path(sys.argv[2])),float(sys.argv[3])
ms=[keras.saving.load_model(p,compile=False) for p in sys.argv[4:]]
b=build_classifier(enc.load_backbone(),dropout=.1,train_embeddings=False)
h=enc.head(); print('head',None if h is None else h[0].shape)
from toxic_training.release.baseline import read_baseline
h=read_baseline(Path('models/baseline')).head; h=(h[0].T,h[1])
if h is not None: b.get_layer(LOGITS).set_weights(h)
S=b.get_weights(); W=[m.get_weights() for m in ms]
names=[w.path for w in b.weights]; assert [x.shape for x in S]==[x.shape for x in W[0]]
big=[(n,float(np.linalg.norm(a-c)),float(np.linalg.norm(a))) for n,a,c in zip(names,S,W[0])]
print('distance',sum(d*d for _,d,_ in big)**.5,'emb',[x for x in big if 'embedding' in x[0]][:2])
mix=[(1-alpha)*np.mean([w[i].astype('f8') for w in W],0)+alpha*S[i] for i in range(len(S))]
if h is None: mix[-2:]=[np.mean([w[i] for w in W],0) for i in (len(S)-2,len(S)-1)]
ms[0].set_weights([x.astype(y.dtype) for x,y in zip(mix,W[0])]); ms[0].save(out)
