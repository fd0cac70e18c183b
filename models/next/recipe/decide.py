import yaml
from pathlib import Path as _P
conf=yaml.safe_load(open('./services/training/conf/base/parameters.yml'))['evaluation']
for k in ('threshold_recall',): pass
par=EvaluationParameters.model_validate(conf|globals().get('CHANGES',{}))
pt=fit_operating_point(v,t,par)
print('thresholds',{k:{l:round(float(x),3) for l,x in d.items() if l in('*','en','de','hi')} for k,d in pt.thresholds.items()}); print('fits',{k:d.get('*') and d['*'].threshold for k,d in pt.fits.items()},{k:d.get('en') and d['en'].threshold for k,d in pt.fits.items()})
hc=pt.calibrated(h); y=(h.label_gold=='hateful').to_numpy()
for name,dec in (('identity',pt.decisions(hc,'identity_hate')),('any',pt.harmful(hc))):
    ok=dec==y; f=pd.Series(ok).groupby(h.functionality.to_numpy()).mean(); nh=f[[i.endswith('_nh') for i in f.index]]
    print('hatecheck',name,'auc',round(auc(y,h.score_identity_hate),4),'acc',round(ok.mean(),4),'nonhateful mean',round(nh.mean(),3),nh.round(2).to_dict())
ec=pt.calibrated(e); harm=e.expected.ne('ok').to_numpy(); d=pt.harmful(ec); print('everyday harmful',round(d[harm].mean(),3),'harmless',round((~d[~harm]).mean(),3),{k:round(float((d[i]==harm[i]).mean()),3) for k,i in e.groupby('kind').indices.items()})
print({l:(round(float(d[i][harm[i]].mean()),2),round(float((~d[i][~harm[i]]).mean()),2)) for l,i in e.groupby('language').indices.items()})
