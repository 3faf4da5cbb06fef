//! What rules read and write in registers, and whether sets are used as what they are.

use super::{Fault, Report};
use crate::net::Family;
use crate::ruleset::{
    CtKey, DataType, Expr, LookupData, MetaKey, Register, Rule, SetData, SetDefinition, Table, concat_len,
};

pub(super) fn check(family: Family, table: &Table, report: &mut Report<'_>) {
    for (name, chain) in &table.chains {
        for (index, rule) in chain.rules.iter().enumerate() {
            let mut machine = Machine { family, table, written: 0, faults: Vec::new() };
            machine.run(rule);
            for fault in machine.faults {
                report(format!("rule {index} of chain {name}"), fault);
            }
        }
    }
}

struct Machine<'a> {
    family: Family,
    table: &'a Table,
    /// One bit for each word that was written to.
    written: u32,
    faults: Vec<Fault>,
}

impl Machine<'_> {
    fn run(&mut self, rule: &Rule) {
        for expr in &rule.exprs {
            self.step(expr);
        }
    }

    fn step(&mut self, expr: &Expr) {
        match expr {
            Expr::Payload { len, dest, .. } => self.write(*dest, usize::from(*len)),
            Expr::Meta { key, dest } => self.write(*dest, meta_len(*key)),
            Expr::Ct { key, dest } => self.write(*dest, self.ct_len(*key)),
            Expr::FibType { dest, .. } | Expr::Numgen { dest, .. } => self.write(*dest, 4),
            Expr::SetMark { source } => self.read(*source, 4),
            Expr::Cmp { source, value, .. } => self.read(*source, value.len()),
            Expr::Bitwise { source, dest, mask, xor } => {
                self.read(*source, mask.len().max(xor.len()));
                self.write(*dest, mask.len());
            }
            Expr::HostToNetwork { source, dest, len } => {
                self.read(*source, usize::from(*len));
                self.write(*dest, usize::from(*len));
            }
            Expr::Immediate { dest, value } => self.write(*dest, value.len()),
            Expr::Dnat { address, port, .. } => {
                self.read(*address, usize::from(self.family.address_len()));
                if let Some(port) = port {
                    self.read(*port, 2);
                }
            }
            Expr::Lookup { set, source, data, invert } => self.lookup(set, *source, *data, *invert),
            Expr::Update { set, key, data, .. } => self.update(set, *key, *data),
            Expr::Verdict(_) | Expr::Masquerade | Expr::Reject(_) => {}
        }
    }

    fn lookup(&mut self, name: &crate::name::Name, source: Register, data: LookupData, invert: bool) {
        let Some(definition) = self.definition(name) else { return };
        let (key_len, loads) = (concat_len(&definition.key), definition.data.clone());
        self.read(source, key_len);
        match (data, loads) {
            (LookupData::None, SetData::None) => {}
            (LookupData::Verdict, SetData::Verdict) if !invert => {}
            (LookupData::Load(dest), SetData::Value(fields)) if !invert => {
                self.write(dest, concat_len(&fields));
            }
            _ => self.faults.push(Fault::SetUse(name.clone())),
        }
    }

    fn update(&mut self, name: &crate::name::Name, key: Register, data: Register) {
        let Some(definition) = self.definition(name) else { return };
        let (key_len, dynamic) = (concat_len(&definition.key), definition.dynamic);
        let fields: Vec<DataType> = match &definition.data {
            SetData::Value(fields) if dynamic => fields.clone(),
            _ => return self.faults.push(Fault::SetUse(name.clone())),
        };
        self.read(key, key_len);
        self.read(data, concat_len(&fields));
    }

    fn definition(&mut self, name: &crate::name::Name) -> Option<&SetDefinition> {
        let Some(set) = self.table.sets.get(name) else {
            self.faults.push(Fault::NoSet(name.clone()));
            return None;
        };
        Some(&set.definition)
    }

    fn ct_len(&self, key: CtKey) -> usize {
        match key {
            CtKey::State | CtKey::Status => 4,
            CtKey::OriginalSource | CtKey::OriginalDestination => usize::from(self.family.address_len()),
            CtKey::OriginalDestinationPort => 2,
        }
    }

    fn write(&mut self, dest: Register, len: usize) {
        match words(dest, len) {
            Some(words) => self.written |= words,
            None => self.faults.push(Fault::Register),
        }
    }

    fn read(&mut self, source: Register, len: usize) {
        if words(source, len).is_none_or(|words| self.written & words != words) {
            self.faults.push(Fault::Register);
        }
    }
}

fn meta_len(key: MetaKey) -> usize {
    match key {
        MetaKey::L4Proto => 1,
        MetaKey::Mark => 4,
        MetaKey::IifName => 16,
    }
}

/// The bits of the words that `len` bytes from a register on touch; `None` where they end beyond the last word.
fn words(from: Register, len: usize) -> Option<u32> {
    let first = usize::from(from.word());
    let end = first + len.div_ceil(4);
    (end <= usize::from(Register::COUNT)).then(|| (first..end).fold(0, |bits, word| bits | 1 << word))
}
